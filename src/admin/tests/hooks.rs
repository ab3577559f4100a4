//! What the API sets going, answered by itself.

use super::inbox::target;
use super::rows::at;
use super::*;
use crate::event::{Outcome, Seq};
use crate::inbox::spill::{Contents, Drained, Spilled, SpilledRow};

pub(super) struct Hooks;

#[async_trait]
impl AdminHooks for Hooks {
    async fn reload(&self) -> Result<String, String> {
        Err("config.toml:3: server.path = 7: not a path".to_owned())
    }

    async fn offer_unreadable(
        &self,
        ids: Vec<i64>,
        _: Audit,
    ) -> Result<Vec<Result<Reoffered, Problem>>, Problem> {
        let offered = |id: i64| match id {
            7 => Ok(Reoffered {
                outcome: Outcome::Accepted,
                event_id: Some("e9".to_owned()),
                seq: Some(Seq(9)),
                stays: false,
                command: true,
            }),
            _ => Err(Problem::new(StatusCode::NOT_FOUND, "it is not there")),
        };
        Ok(ids.into_iter().map(offered).collect())
    }

    async fn read_unreadable(&self, _: i64) -> Result<Carried, Problem> {
        let still = "it still cannot be used: it is no JSON";
        Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, still))
    }

    async fn offer_spilled(
        &self,
        events: Vec<Spilled>,
        unreadable: Vec<Unreadable>,
        _: Audit,
    ) -> Result<Drained, Problem> {
        Ok(Drained {
            accepted: events.len() as u64,
            unreadable: unreadable.len() as u64,
            ..Drained::default()
        })
    }

    async fn spilled(&self, event_id: Option<String>) -> Result<SpillShown, Problem> {
        let row = SpilledRow {
            event_type: "i_ack".to_owned(),
            tag: Some("ops".to_owned()),
            query: None,
            received_at: at(7),
            set_aside: false,
        };
        let there = event_id.is_some_and(|id| id == "e8");
        Ok(SpillShown {
            contents: Contents {
                events: 2,
                bytes: 20,
                oldest: Some(at(7)),
                newest: Some(at(8)),
                ..Contents::default()
            },
            found: there.then_some(row).into_iter().collect(),
        })
    }

    fn recover(&self, ask: Ask, _: Audit) -> Result<Progress, Problem> {
        let until = at(100);
        match ask.since < until {
            true => Ok(Progress {
                running: true,
                since: Some(ask.since),
                dry_run: ask.dry_run,
                all: ask.all,
                ..Progress::default()
            }),
            false => Err(Problem::new(StatusCode::CONFLICT, "one is under way")),
        }
    }

    fn recovered(&self) -> Progress {
        Progress::default()
    }

    fn last_recovery(&self) -> Option<LastRun> {
        let progress = Progress {
            since: Some(at(10)),
            until: Some(at(40)),
            records: 5,
            accepted: 2,
            stale: 1,
            duplicate: 2,
            ..Progress::default()
        };
        Some(LastRun {
            began: at(50),
            ended: Some(at(51)),
            by_hand: false,
            found: 3,
            progress,
        })
    }

    fn sinks(&self) -> BTreeMap<String, Arc<[Rate]>> {
        let rates = [Rate {
            count: 20,
            window: Duration::from_secs(60),
        }];
        BTreeMap::from([("log".to_owned(), Arc::from(rates))])
    }

    fn replica(&self) -> Replica {
        Replica {
            name: "node-7:8080".to_owned(),
            started_at: at(0),
            seen_at: at(100),
            version: "0.1.0".to_owned(),
        }
    }

    fn target(&self, name: &str) -> Option<Target> {
        target(name)
    }

    fn changed(&self) {}
}
