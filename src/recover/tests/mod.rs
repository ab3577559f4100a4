//! Whole looks into a history that behaves, and into one that does not.

mod clocks;
mod fake;
mod trouble;
mod turns;

use std::collections::HashSet;
use std::sync::Mutex as StdMutex;

use self::fake::{Fake, Mishap, Past};
use super::stop::Stop;
use super::*;
use crate::inbox::query::{AuditFilter, AuditRow};
use crate::inbox::sqlite::SqliteInbox;
use crate::inbox::{Audit, RecordId};
use crate::lines::Lines;

const MINE: i64 = 4021;
const ENDPOINT: &str = "https://hooks.example.com/webhook";

/// Minutes after the tests' beginning of time, which is some days after the oldest event.
fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
}

/// The attempt numbered so, a minute each.
fn past(number: i64) -> Past {
    Past {
        integration: MINE,
        id: format!("record-{number}"),
        endpoint: ENDPOINT.to_owned(),
        at: at(number),
        failed: true,
        body: format!(r#"{{"event_id":"event-{number}"}}"#),
    }
}

struct TestClock(StdMutex<Timestamp>);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// Takes everything, and knows what it took before.
#[derive(Default)]
struct Taking {
    taken: StdMutex<Vec<(Route, String)>>,
    /// Takes nothing more once it has so many.
    room: StdMutex<Option<usize>>,
}

#[async_trait]
impl Admission for Taking {
    async fn admit(&self, found: Found) -> Result<Verdict, NotAdmitted> {
        let body = String::from_utf8(found.body.to_vec()).unwrap();
        let mut taken = self.taken.lock().unwrap();
        if self
            .room
            .lock()
            .unwrap()
            .is_some_and(|room| taken.len() >= room)
        {
            return Err(NotAdmitted("the store has no room".to_owned()));
        }
        if !body.starts_with('{') {
            return Ok(Verdict::Unreadable("no JSON".to_owned()));
        }
        let known = taken
            .iter()
            .any(|(route, known)| *known == body && *route == found.route);
        if !known && !found.dry_run {
            taken.push((found.route, body));
        }
        Ok(match known {
            true => Verdict::Duplicate { differs: false },
            false => Verdict::Accepted { command: false },
        })
    }
}

/// Recovery from a fake history into a store in memory, its clock at minute 1000.
struct Set {
    fake: Fake,
    clock: Arc<TestClock>,
    taking: Arc<Taking>,
    inbox: Arc<dyn Inbox>,
    metrics: Arc<Metrics>,
    plan: watch::Sender<Option<Arc<Plan>>>,
    recovery: Arc<Recovery>,
}

impl Set {
    /// That has read up to the `reached`th minute.
    async fn new(past: Vec<Past>, reached: i64) -> Self {
        let set = Self::fresh(past);
        set.inbox
            .recovered(Vec::new(), Some(at(-9000)), at(0))
            .await
            .unwrap();
        set.inbox
            .recovered(Vec::new(), Some(at(reached)), at(0))
            .await
            .unwrap();
        set
    }

    fn fresh(past: Vec<Past>) -> Self {
        let fake = Fake::new(past);
        let inbox: Arc<dyn Inbox> = Arc::new(SqliteInbox::in_memory());
        let clock = Arc::new(TestClock(StdMutex::new(at(1000))));
        let taking = Arc::<Taking>::default();
        let plan = watch::Sender::new(Some(Arc::new(plan(&fake, vec![MINE]))));
        let metrics = Metrics::new();
        let surroundings = Surroundings {
            inbox: Arc::clone(&inbox),
            clock: Arc::<TestClock>::clone(&clock),
            metrics: Arc::clone(&metrics),
            admission: Arc::<Taking>::clone(&taking),
            tries: Tries {
                most: 3,
                first: Duration::from_millis(5),
                longest: Duration::from_millis(20),
            },
        };
        let recovery = Recovery::new(surroundings, plan.subscribe());
        Self {
            fake,
            clock,
            taking,
            inbox,
            metrics,
            plan,
            recovery,
        }
    }

    async fn look(&self) -> Result<(), Stop> {
        let plan = self.plan.borrow().clone().unwrap();
        self.recovery.catch_up(&plan).await
    }

    async fn by_hand(&self, since: Timestamp, dry_run: bool, all: bool) -> Progress {
        let ask = Ask {
            since,
            dry_run,
            all,
        };
        let lifecycle = Lifecycle::default();
        let begin = || self.recovery.begin(ask, audit(), &lifecycle);
        begin().unwrap();
        assert_eq!(begin(), Err(NotBegun::Busy));
        let mut shown = self.recovery.by_hand.subscribe();
        shown.wait_for(|now| !now.running).await.unwrap().clone()
    }

    /// The numbers of the events that were taken, in order.
    fn taken(&self) -> Vec<i64> {
        let taken = self.taking.taken.lock().unwrap();
        let number = |body: &str| {
            let digits: String = body.chars().filter(char::is_ascii_digit).collect();
            digits.parse().unwrap()
        };
        taken.iter().map(|(_, body)| number(body)).collect()
    }

    async fn audited(&self) -> Vec<AuditRow> {
        let page = self.inbox.audited(AuditFilter::newest(10)).await;
        page.unwrap().items
    }

    fn details(&self) -> usize {
        self.fake.history.lock().unwrap().details()
    }

    async fn reached(&self) -> Timestamp {
        self.inbox.recovery_mark().await.unwrap().unwrap().reached
    }
}

/// What the audit says of a look by hand.
fn audit() -> Audit {
    Audit {
        who: "somebody".to_owned(),
        action: "recover",
        selector: "since=then".to_owned(),
        reason: String::new(),
    }
}

/// Time passes for whoever measures it, but not for the clock.
async fn pass(long: Duration) {
    tokio::time::pause();
    tokio::time::advance(long).await;
    tokio::time::resume();
}

fn plan(fake: &Fake, integrations: Vec<i64>) -> Plan {
    let patience = Patience {
        silence: Duration::from_millis(150),
        whole: Duration::from_secs(5),
    };
    Plan {
        api: Api::new(&fake.base, "the-key".into(), patience).unwrap(),
        scope: Scope {
            integrations,
            endpoint: ENDPOINT.to_owned(),
            path: String::new(),
        },
        interval: Duration::from_millis(10),
        lookback: Duration::from_secs(7 * 86_400),
        settle_delay: Duration::from_secs(60),
        rate: Rate {
            count: 100_000,
            window: Duration::from_millis(100),
        },
    }
}

#[tokio::test]
async fn what_failed_is_offered_once_in_the_order_of_time_on_the_route_it_went_to() {
    let mut history: Vec<Past> = (0..250).rev().map(|number| past(500 + number)).collect();
    // Another integration of ours, others' pushes, one that went well, and one too young.
    for (number, own) in history.iter_mut().enumerate() {
        if number % 3 == 0 {
            own.integration = MINE + 1;
            own.endpoint = format!("{ENDPOINT}/ops?team=a");
        }
    }
    let mut others = [past(600), past(601), past(602), past(1000)];
    others[0].integration = 7;
    others[1].endpoint = "https://staging.example.com/webhook".to_owned();
    others[2].failed = false;
    history.extend(others.map(|other| Past {
        id: format!("other-{}", other.id),
        body: "{\"event_id\":\"other-1\"}".to_owned(),
        ..other
    }));
    let set = Set::new(history, 400).await;
    let both = plan(&set.fake, vec![MINE, MINE + 1]);
    set.plan.send_replace(Some(Arc::new(both)));
    set.look().await.unwrap();
    assert_eq!(set.taken(), (500..750).collect::<Vec<_>>());
    let routed = |(route, _): &&(Route, String)| {
        route.tag.as_deref() == Some("ops") && route.query.as_deref() == Some("team=a")
    };
    assert_eq!(
        set.taking
            .taken
            .lock()
            .unwrap()
            .iter()
            .filter(routed)
            .count(),
        84
    );
    assert_eq!(set.reached().await, at(999));
    assert_eq!(set.details(), 250);
    // The next look meets the last ten minutes again, and fetches none of it.
    set.inbox
        .recovered(Vec::new(), Some(at(700)), at(0))
        .await
        .unwrap();
    set.look().await.unwrap();
    assert_eq!(set.details(), 250);
}

#[tokio::test]
async fn a_new_store_begins_now_and_older_pushes_come_by_hand() {
    let set = Set::fresh((900..990).map(past).collect());
    set.look().await.unwrap();
    set.look().await.unwrap();
    assert!(set.taken().is_empty());
    let done = set.by_hand(at(980), false, false).await;
    assert_eq!((done.records, done.accepted, done.error), (10, 10, None));
    assert_eq!(set.taken(), (980..990).collect::<Vec<_>>());
    assert_eq!(done.most_late_seconds, Some(1200.0));
    assert_eq!(
        set.reached().await,
        at(1000),
        "what is done by hand moves no mark"
    );
    // Time passes, and what came since the beginning is looked at.
    *set.clock.0.lock().unwrap() = at(1100);
    set.fake
        .history
        .lock()
        .unwrap()
        .past
        .extend((995..1050).map(past));
    set.look().await.unwrap();
    assert_eq!(set.taken().last(), Some(&1049));
    assert_eq!(set.taken().len(), 10 + 50);
}

#[tokio::test]
async fn a_dry_run_stores_and_remembers_nothing_and_says_what_is_new() {
    let set = Set::new((900..920).map(past).collect(), 999).await;
    let would = set.by_hand(at(900), true, false).await;
    assert_eq!((would.accepted, would.dry_run), (20, true));
    assert!(set.taken().is_empty());
    let first = RecordId::new(MINE, "record-900");
    assert_eq!(set.inbox.handled(vec![first]).await.unwrap(), [false]);
}

#[tokio::test]
async fn all_looks_at_what_went_well_too() {
    let mut history: Vec<Past> = (900..920).map(past).collect();
    for own in &mut history[5..] {
        own.failed = false;
    }
    let set = Set::new(history, 999).await;
    assert_eq!(set.by_hand(at(900), false, false).await.accepted, 5);
    let all = set.by_hand(at(900), false, true).await;
    assert_eq!((all.records, all.known, all.accepted), (20, 5, 15));
    let distinct: HashSet<i64> = set.taken().into_iter().collect();
    assert_eq!((set.taken().len(), distinct.len()), (20, 20));
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_and_what_goes_nowhere_is_said() {
    let mut history: Vec<Past> = (900..904).map(past).collect();
    history[1].body = "not JSON".to_owned();
    history[2].endpoint = "https://hooks.example.com/other".to_owned();
    let set = Set::new(history, 999).await;
    let mut any = plan(&set.fake, vec![MINE]);
    any.scope.endpoint.clear();
    any.scope.path = "/webhook".to_owned();
    set.plan.send_replace(Some(Arc::new(any)));
    let done = set.by_hand(at(900), false, false).await;
    assert_eq!((done.accepted, done.unreadable, done.misrouted), (2, 1, 1));
    // Once its URL is understood, it can be had after all.
    let again = set.by_hand(at(900), false, false).await;
    assert_eq!((again.known, again.misrouted), (3, 1));
}

#[tokio::test]
async fn what_went_elsewhere_is_counted_once_and_said_when_nothing_was_ours() {
    let (lines, _guard) = Lines::begin();
    let elsewhere = |number: i64| Past {
        endpoint: "https://Hooks.example.com/webhook-staging?token=secret".to_owned(),
        ..past(number)
    };
    let set = Set::new((990..995).map(elsewhere).collect(), 980).await;
    let count = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, set.metrics.registry()).unwrap();
        let line = text.lines().find(|line| line.contains("elsewhere"));
        line.unwrap().rsplit(' ').next().unwrap().to_owned()
    };
    let told = || lines.with("went elsewhere").len();
    for _ in 0..3 {
        set.look().await.unwrap();
        assert_eq!((count().as_str(), told()), ("5", 1));
    }
    let by_hand = set.by_hand(at(980), false, false).await;
    assert_eq!((by_hand.elsewhere, by_hand.records), (5, 0));
    assert_eq!((count().as_str(), told()), ("5", 2), "a person is told");
    assert!(
        lines
            .all()
            .contains("https://Hooks.example.com/webhook-staging:")
    );
    assert!(!lines.all().contains("secret"));
    // Once something was ours, it is not the endpoint.
    let mut ours = past(996);
    ours.endpoint = "HTTPS://HOOKS.example.com:443/webhook".to_owned();
    set.fake.history.lock().unwrap().past.push(ours);
    set.look().await.unwrap();
    assert_eq!((set.taken().len(), told()), (1, 2));
}

#[test]
fn a_look_begins_a_little_before_the_mark_and_never_before_the_beginning() {
    let fake = Fake::new(Vec::new());
    let mut plan = plan(&fake, vec![MINE]);
    let mut from = |begun: i64, reached: i64, lookback: u64| {
        plan.lookback = Duration::from_secs(lookback * 60);
        let (begun, reached) = (at(begun), at(reached));
        let window = due(Mark { begun, reached }, at(1000), &plan);
        assert_eq!(window.to, at(999));
        (window.from.as_second() - at(0).as_second()) / 60
    };
    const WEEK: u64 = 7 * 24 * 60;
    assert_eq!(from(0, 900, WEEK), 890);
    assert_eq!(from(895, 900, WEEK), 895);
    assert_eq!(from(0, 900, 60), 940);
    assert_eq!(from(-99_000, -50_000, WEEK), 1000 - (7 * 24 * 60 - 5));
    // The clock was ahead when one of them was set, or both.
    assert_eq!(from(0, 5000, WEEK), 0);
    assert_eq!(from(5000, 5000, WEEK), 1000 - (7 * 24 * 60 - 5));
}
