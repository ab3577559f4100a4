//! What is remembered of the sender's history.

use super::*;

fn record(number: i64) -> RecordId {
    RecordId::new(7, &number.to_string())
}

pub(in crate::inbox) async fn a_record_is_handled_from_the_moment_it_is_remembered(
    inbox: &dyn Inbox,
) {
    let both = || vec![record(1), record(2)];
    assert_eq!(inbox.handled(both()).await.unwrap(), [false, false]);
    inbox.recovered(vec![record(2)], None, at(0)).await.unwrap();
    assert_eq!(inbox.handled(both()).await.unwrap(), [false, true]);
    // A crash may have had it handled before.
    inbox.recovered(both(), None, at(1)).await.unwrap();
    assert_eq!(inbox.handled(both()).await.unwrap(), [true, true]);
    let elsewhere = RecordId::new(8, "1");
    assert_eq!(inbox.handled(vec![elsewhere]).await.unwrap(), [false]);
    assert_eq!(inbox.recovery_mark().await.unwrap(), None);
}

pub(in crate::inbox) async fn the_history_is_read_on_from_where_it_was_left(inbox: &dyn Inbox) {
    for reached in [at(0), at(60)] {
        let remembered = inbox.recovered(Vec::new(), Some(reached), reached).await;
        remembered.unwrap();
        let mark = Mark {
            begun: at(0),
            reached,
        };
        assert_eq!(inbox.recovery_mark().await.unwrap(), Some(mark));
    }
}

pub(in crate::inbox) async fn records_are_remembered_for_eight_days(inbox: &dyn Inbox) {
    const DAY: i64 = 86_400;
    let records: Vec<_> = (0..64).map(record).collect();
    inbox.recovered(records.clone(), None, at(0)).await.unwrap();
    for (days, handled) in [(8, true), (9, false)] {
        for slice in 0..4096 {
            let forgotten = inbox.prune(Prune {
                what: PruneWhat::Forgotten { slice },
                now: at(days * DAY),
                retention: Duration::from_secs(3600),
                after: Seq(0),
                wanted_bytes: 0,
            });
            forgotten.await.unwrap();
        }
        let answers = inbox.handled(records.clone()).await.unwrap();
        assert!(
            answers.iter().all(|answer| *answer == handled),
            "{days} days"
        );
    }
}
