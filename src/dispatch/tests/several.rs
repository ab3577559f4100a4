//! Two dispatchers of one sink, each with a group commit of its own, as two replicas have.

use std::time::Instant;

use super::*;
use crate::inbox::Rate;

const MOST: usize = 3;
const WINDOW: Duration = Duration::from_millis(200);
const EVENTS: usize = 24;

/// A sink that is rated, and one committer's dispatcher for it.
struct Replica {
    committer: Committer,
    committing: tokio::task::JoinHandle<anyhow::Result<()>>,
    dispatching: tokio::task::JoinHandle<anyhow::Result<()>>,
}

/// Notes when each attempt began.
struct Robot {
    begun: Mutex<Vec<(Instant, i64)>>,
    all: Notify,
}

#[async_trait]
impl Sink for Robot {
    async fn deliver(&self, leases: &[Lease]) -> Vec<Result<Taken, SinkError>> {
        let mut begun = self.begun.lock().unwrap();
        begun.extend(leases.iter().map(|lease| (Instant::now(), lease.seq.0)));
        if begun.len() == EVENTS {
            self.all.notify_one();
        }
        leases.iter().map(|_| Ok(Taken::default())).collect()
    }
}

fn replica(set: &Set, robot: &Arc<Robot>, stop: &CancellationToken) -> Replica {
    let (committer, task) = Committer::new(CommitterOptions {
        inbox: Arc::<SqliteInbox>::clone(&set.inbox) as Arc<dyn Inbox>,
        clock: Arc::new(SystemClock),
        metrics: Metrics::new(),
        spill: None,
    });
    let name: Arc<str> = Arc::from("robot");
    let rate = |count, window| Rate { count, window };
    let plan = Plan {
        batch: 1,
        concurrency: 8,
        rates: Arc::from([
            rate(u32::try_from(MOST).unwrap(), WINDOW),
            rate(1_000, Duration::from_secs(60)),
        ]),
        ..plan(Arc::clone(robot) as Arc<dyn Sink>)
    };
    let dispatcher = Dispatcher::new(
        (Arc::clone(&name), set.sink),
        settled_on(plan),
        Arc::new(SystemClock),
        Metrics::new().sink(&name),
    );
    Replica {
        committing: tokio::spawn(task),
        dispatching: tokio::spawn(dispatcher.run(committer.clone(), stop.clone())),
        committer,
    }
}

#[tokio::test]
async fn two_dispatchers_of_a_sink_keep_its_rate_together() {
    // Its own dispatcher rests: the two below are those that count.
    let mut set = set(Vec::new(), None).await;
    set.stop.cancel();
    (&mut set.dispatching).await.unwrap().unwrap();
    let robot = Arc::new(Robot {
        begun: Mutex::default(),
        all: Notify::new(),
    });
    let stop = CancellationToken::new();
    let replicas = [0, 1].map(|_| replica(&set, &robot, &stop));
    for number in 0..EVENTS {
        let offer = set.build(&format!("e{number}"), false, NEW);
        let committer = &replicas[number % 2].committer;
        committer.offer(offer).await.unwrap().unwrap();
    }
    robot.all.notified().await;
    stop.cancel();
    for replica in replicas {
        replica.dispatching.await.unwrap().unwrap();
        replica.committer.finish();
        replica.committing.await.unwrap().unwrap();
    }
    let mut begun = robot.begun.lock().unwrap().clone();
    let mut seqs: Vec<i64> = begun.iter().map(|(_, seq)| *seq).collect();
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs.len(), EVENTS, "each once");
    begun.sort_unstable();
    for stretch in begun.windows(MOST + 1) {
        let took = stretch[MOST].0 - stretch[0].0;
        assert!(took >= WINDOW, "{} attempts within {took:?}", MOST + 1);
    }
}
