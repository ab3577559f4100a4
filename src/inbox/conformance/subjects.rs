//! Incidents and alerts: each once, and what the newest event in time of each is.

use super::*;
use crate::inbox::query::{SubjectFilter, SubjectRow};

fn list(cursor: Option<String>, limit: usize) -> SubjectFilter {
    SubjectFilter {
        cursor,
        limit,
        subject: None,
    }
}

fn names(rows: &[SubjectRow]) -> Vec<&str> {
    rows.iter().map(|row| row.subject.as_str()).collect()
}

pub(in crate::inbox) async fn each_subject_is_listed_once_by_its_newest_event(inbox: &dyn Inbox) {
    let given = vec![
        event("a").of("incident:1"),
        event("b").of("incident:2"),
        event("c").of("incident:1"),
        event("d").alone(),
        event("e").of("alert:3"),
    ];
    offer_all(inbox, given).await;
    let all = inbox.subjects(list(None, 9)).await.unwrap();
    assert_eq!(names(&all.items), ["alert:3", "incident:1", "incident:2"]);
    assert_eq!(all.next_cursor, None);
    let first = inbox.subjects(list(None, 1)).await.unwrap();
    assert_eq!(names(&first.items), ["alert:3"]);
    let rest = inbox.subjects(list(first.next_cursor, 9)).await.unwrap();
    assert_eq!(names(&rest.items), ["incident:1", "incident:2"]);
    // A list may also be cut in the middle of a page.
    let behind = all.items[1].cursor_behind();
    let rest = inbox.subjects(list(behind, 9)).await.unwrap();
    assert_eq!(names(&rest.items), ["incident:2"]);
    let first_of_all = SubjectRow {
        last_seq: Seq(1),
        ..all.items[0].clone()
    };
    assert_eq!(first_of_all.cursor_behind(), None);
}

pub(in crate::inbox) async fn a_subject_is_told_by_its_newest_event_that_is_not_stale(
    inbox: &dyn Inbox,
) {
    let given = vec![
        event("a").of("incident:1").time(5).body("first"),
        event("b").of("incident:2").time(5).body("other"),
        event("c").of("incident:1").time(7).body("in time"),
        event("d").of("incident:1").time(6).body("overtaken"),
        event("e").of("incident:1").time(6).body("overtaken, too"),
    ];
    let outcomes = offer_all(inbox, given).await;
    assert_eq!(outcomes[4].outcome, Outcome::Stale);
    let mut told = inbox.latest(vec![Seq(5), Seq(2), Seq(99)]).await.unwrap();
    told.sort_by_key(|latest| latest.newest);
    let told: Vec<_> = told
        .iter()
        .map(|latest| (latest.newest.0, latest.seq.0, latest.body.as_deref()))
        .collect();
    let (in_time, other) = (&b"in time"[..], &b"other"[..]);
    assert_eq!(told, [(2, 2, Some(other)), (5, 3, Some(in_time))]);
}

pub(in crate::inbox) async fn of_a_body_too_long_for_a_list_only_the_type_is_told(
    inbox: &dyn Inbox,
) {
    let longest: &'static str = "x".repeat(256 << 10).leak();
    let longer: &'static str = "x".repeat((256 << 10) + 1).leak();
    let given = vec![
        event("a").of("incident:1").body(longest),
        event("b").of("incident:2").body(longer),
    ];
    offer_all(inbox, given).await;
    let mut told = inbox.latest(vec![Seq(1), Seq(2)]).await.unwrap();
    told.sort_by_key(|latest| latest.newest);
    assert_eq!(told[0].body.as_deref(), Some(longest.as_bytes()));
    assert_eq!(told[1].body, None);
    assert_eq!(told[1].event_type, "i_ack");
}

pub(in crate::inbox) async fn a_subjects_events_go_on_where_they_ended_on_each_route(
    inbox: &dyn Inbox,
) {
    const IDS: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    for (number, id) in IDS.into_iter().enumerate() {
        let mut offer = event(id).of("incident:1").offer();
        if number % 3 == 1 {
            let mut elsewhere = (*offer.event).clone();
            elsewhere.route.tag = Some("b".into());
            offer.event = Arc::new(elsewhere);
        }
        let batch = Batch {
            offers: vec![offer, event("of another").of("incident:2").offer()],
            ..Batch::default()
        };
        inbox.commit(Arc::new(batch), at(0)).await.unwrap();
    }
    for limit in 1..=IDS.len() + 1 {
        let mut filter = EventFilter {
            limit,
            subject: Subject::parse("incident:1"),
            ..EventFilter::default()
        };
        let mut seen = Vec::new();
        loop {
            let page = inbox.events(filter.clone()).await.unwrap();
            assert!(page.items.len() <= limit);
            seen.extend(page.items.into_iter().filter_map(|row| row.event_id));
            assert!(seen.len() <= IDS.len(), "pages of {limit}: {seen:?}");
            match page.next_cursor {
                Some(next) => filter.cursor = Some(next),
                None => break,
            }
        }
        seen.reverse();
        assert_eq!(seen, IDS, "pages of {limit}");
    }
    let wrong = EventFilter {
        limit: 1,
        cursor: Some("1.5".to_owned()),
        subject: Subject::parse("incident:1"),
        ..EventFilter::default()
    };
    assert!(inbox.events(wrong).await.is_err());
}
