//! Load while the database comes and goes: nothing is lost, doubled or overtaken.

use super::*;

#[tokio::test]
async fn the_way_back_is_found_while_pushes_keep_coming() {
    let (database, folder) = (database(), folder());
    let replica = Arc::new(Replica::start(&database, &folder));
    database.turn(Weather::Away);
    replica.offer(numbered(0, 0)).await.unwrap();
    let pushing = tokio::spawn({
        let replica = Arc::clone(&replica);
        async move {
            let mut number = 1;
            while replica.committer.state() != StoreState::Working {
                replica.offer(numbered(0, number)).await.unwrap();
                number += 1;
            }
            number
        }
    });
    database.turn(Weather::Fine);
    let pushed = tokio::time::timeout(Duration::from_secs(20), pushing);
    let pushed = pushed.await.expect("it is never empty").unwrap();
    let stored = replica.ids().await;
    let expected: Vec<_> = (0..pushed).map(|number| format!("0-{number}")).collect();
    assert_eq!(stored, expected);
}

/// The event numbered `number` of a subject.
fn numbered(subject: usize, number: usize) -> Offer {
    let given = event("n")
        .of(["alert:0", "alert:1", "alert:2"][subject])
        .offer();
    let id = format!("{subject}-{number}");
    let mut key = [0; 16];
    key[..id.len()].copy_from_slice(id.as_bytes());
    Offer {
        event: Arc::new(Event {
            event_id: Some(crate::event::Id::new(&id)),
            ..Event::clone(&given.event)
        }),
        key: Some(Key(key)),
        ..given
    }
}

/// Whatever the weather does, each push is acknowledged, stored once, and in its subject's order.
async fn storm(seed: u64) {
    let (database, folder) = (database(), folder());
    let replica = Replica::start(&database, &folder);
    let mut random = seed;
    let mut next = |below: u64| {
        // Numerical Recipes' generator: the same course for the same seed.
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut answers = Vec::new();
    for number in 0..60 {
        let weather = match next(8) {
            0 => Weather::Away,
            1 => Weather::Deaf,
            2 => Weather::Slow(Duration::from_millis(280)),
            3 => Weather::Slow(Duration::from_millis(3)),
            _ => Weather::Fine,
        };
        database.turn(weather);
        for push in 0..=next(12) {
            let place = number * 16 + usize::try_from(push).unwrap();
            let subject = place % 3;
            answers.push(replica.committer.offer(numbered(subject, place)));
        }
        tokio::time::sleep(Duration::from_millis(next(60))).await;
    }
    database.turn(Weather::Fine);
    let pushed = answers.len();
    for answer in answers {
        answer.await.unwrap().expect("every push is taken");
    }
    replica.until_working().await;
    let stored = replica.ids().await;
    assert_eq!(stored.len(), pushed, "seed {seed}");
    for subject in ["0-", "1-", "2-"] {
        let numbers: Vec<usize> = stored
            .iter()
            .filter_map(|id| id.strip_prefix(subject)?.parse().ok())
            .collect();
        assert!(numbers.is_sorted(), "seed {seed}: {numbers:?}");
    }
    replica.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_the_database_does_nothing_is_lost_doubled_or_overtaken() {
    let storms: Vec<_> = (0..8).map(|seed| tokio::spawn(storm(seed))).collect();
    for storm in storms {
        storm.await.unwrap();
    }
}
