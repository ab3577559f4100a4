//! Pushes that could not be used while the database is away.

use bytes::Bytes;

use super::*;
use crate::event::Route;
use crate::inbox::Keeper;
use crate::inbox::query::UnreadableFilter;

const BOUNDS: UnreadableBounds = UnreadableBounds {
    count: 10,
    bytes: 1 << 20,
};

fn unreadable(reason: &str) -> Unreadable {
    Unreadable {
        received_at: at(1),
        reason: reason.to_owned(),
        route: Route::default(),
        source_ip: None,
        peer_ip: None,
        body: Bytes::from_static(b"{"),
    }
}

/// The way round the database of `replica`.
fn detour(replica: &Replica) -> Arc<Detour> {
    let options = SpillOptions {
        spill: Arc::clone(&replica.spill) as Arc<dyn Spill>,
        in_force: Arc::clone(&replica.sinks) as Arc<dyn InForce>,
    };
    let inbox = Arc::clone(&replica.database) as Arc<dyn Inbox>;
    Arc::new(Detour::new(inbox, options, replica.committer.clone()))
}

/// Why what is in the database's box is there, the newest first.
async fn reasons(database: &Database) -> Vec<String> {
    let kept = database
        .unreadables(UnreadableFilter::newest(100))
        .await
        .unwrap();
    kept.items.into_iter().map(|row| row.reason).collect()
}

#[tokio::test]
async fn what_cannot_be_used_while_the_database_is_away_waits_in_the_spill_and_is_kept_afterwards()
{
    let (database, folder) = (database(), folder());
    let replica = Replica::start(&database, &folder);
    let detour = detour(&replica);
    let inbox = Arc::clone(&database) as Arc<dyn Inbox>;
    let metrics = Arc::clone(&replica.metrics);
    let (keeper, keeping) = Keeper::new(inbox, metrics, Some(Arc::clone(&detour)));
    let keeping = tokio::spawn(keeping);
    database.turn(Weather::Away);
    // At first nobody has noticed that it is away.
    keeper.keep(unreadable("first"), BOUNDS).await.unwrap();
    replica.offer(event("a").offer()).await.unwrap();
    assert_eq!(replica.committer.state(), StoreState::Spilling);
    keeper.keep(unreadable("second"), BOUNDS).await.unwrap();
    assert_eq!(replica.metrics.unreadable.get(), 2);
    assert!(!detour.step().await.unwrap(), "it is away");
    assert_eq!(reasons(&database).await, [""; 0]);

    database.turn(Weather::Fine);
    replica.until_working().await;
    assert!(detour.step().await.unwrap());
    assert_eq!(reasons(&database).await, ["second", "first"]);
    assert!(!detour.step().await.unwrap(), "all is back");
    assert_eq!(replica.spill.unreadable(), 0);
    keeper.keep(unreadable("third"), BOUNDS).await.unwrap();
    assert_eq!(reasons(&database).await, ["third", "second", "first"]);
    drop(keeper);
    keeping.await.unwrap();
    replica.end().await;
}

#[tokio::test]
async fn what_could_not_be_used_stays_in_the_spill_until_the_database_is_known_and_takes_it() {
    let (database, folder) = (database(), folder());
    let replica = Replica::start_away(&database, &folder);
    let detour = detour(&replica);
    let left = vec![unreadable("left")];
    replica.spill.keep_unreadable(left, BOUNDS).await.unwrap();
    assert!(!detour.step().await.unwrap(), "it is not known");
    replica.sinks.unknown.store(false, Ordering::SeqCst);
    replica.until(|state| *state == StoreState::Spilling).await;
    replica.until_working().await;
    database.turn(Weather::Away);
    let away = detour.step().await;
    assert!(matches!(away, Err(InboxError::Away(_))), "{away:?}");
    assert_eq!(replica.spill.unreadable(), 1);
    database.turn(Weather::Fine);
    assert!(detour.step().await.unwrap());
    assert_eq!(reasons(&database).await, ["left"]);
    replica.end().await;
}

#[tokio::test]
async fn a_database_that_hangs_holds_up_what_cannot_be_used_no_longer_than_events() {
    let (database, folder) = (database(), folder());
    let replica = Replica::start(&database, &folder);
    let detour = detour(&replica);
    database.turn(Weather::Slow(Duration::from_secs(600)));
    let both = async {
        let kept = detour.keep(vec![unreadable("a")], BOUNDS);
        tokio::join!(kept, replica.offer(event("e").offer()))
    };
    let ended = tokio::time::timeout(Duration::from_secs(20), both).await;
    let (kept, offered) = ended.expect("it waits for the database");
    kept.unwrap();
    assert_eq!(offered.unwrap(), Taken::Spilled);
    assert_eq!(replica.spill.unreadable(), 1);
    replica.end().await;
}
