//! Searches: what is found, and how they go on.

use super::*;
use crate::inbox::headline::headlines;
use crate::inbox::search::{Needle, Sift, search};

/// No search of a test takes this long.
const LONG: Duration = Duration::from_secs(600);

fn sift(limit: usize) -> Sift {
    let filter = EventFilter {
        limit,
        ..EventFilter::default()
    };
    Sift::new(filter, None, None)
}

fn text(text: &str) -> Sift {
    Sift {
        text: Needle::new(text),
        ..sift(100)
    }
}

fn ids(rows: &[EventRow]) -> String {
    let ids = rows.iter().filter_map(|row| row.event_id.as_deref());
    ids.collect::<Vec<_>>().join(" ")
}

async fn found(inbox: &dyn Inbox, sift: Sift) -> String {
    let found = search(inbox, sift, LONG).await.unwrap();
    assert_eq!(found.page.next_cursor, None, "nothing is left to look at");
    ids(&found.page.items)
}

pub(in crate::inbox) async fn a_text_is_found_however_it_is_written_and_stands_for_itself_alone(
    inbox: &dyn Inbox,
) {
    let given = vec![
        event("a").body(r#"{"title":"Disk 磁盘 100% full"}"#),
        event("b").body(r#"{"title":"Disk \u78c1\u76D8 100% full \ud83d\ude00"}"#),
        event("c").body(r#"{"title":"load \u003e 90, c:\\tmp\/x \"q\""}"#),
        event("node-d").of("alert:7f3").command(),
    ];
    offer_all(inbox, given).await;
    for (wanted, which) in [
        ("磁盘", "b a"),
        ("盘 1", "b a"),
        ("盘磁", ""),
        ("disk", "b a"),
        ("DISK 磁", "b a"),
        ("100% F", "b a"),
        ("%", "b a"),
        ("1_0", ""),
        ("d.sk", ""),
        ("d*k", ""),
        ("😀", "b"),
        ("load > 90", "c"),
        (r"c:\tmp/x", "c"),
        (r"c:\\tmp", "c"),
        ("\"q\"", "c"),
        (r"\u78c1", "b"),
        ("NODE-", "node-d"),
        ("alert:7F", "node-d"),
        ("I_custom", "node-d"),
        ("incident:664af", "c b a"),
        ("e", "node-d c b a"),
        ("'; --", ""),
    ] {
        assert_eq!(found(inbox, text(wanted)).await, which, "{wanted}");
    }
    let mut of_subject = text("disk");
    of_subject.filter.subject = Subject::parse("incident:664af");
    assert_eq!(found(inbox, of_subject).await, "b a");
    let mut of_id = text("disk");
    of_id.filter.event_id = Some("a".to_owned());
    assert_eq!(found(inbox, of_id.clone()).await, "a");
    of_id.filter.event_id = Some("c".to_owned());
    assert_eq!(found(inbox, of_id).await, "");
    let mut commands = text("e");
    commands.filter.event_type = Some("i_custom".to_owned());
    assert_eq!(found(inbox, commands).await, "node-d");
}

pub(in crate::inbox) async fn a_source_is_one_address_or_a_block_of_them(inbox: &dyn Inbox) {
    let given = vec![
        event("a").body(r#"{"n":1}"#),
        event("b").sent_by("47.94.200.1").body(r#"{"n":2}"#),
        event("c").sent_by("2001:db8::7"),
    ];
    offer_all(inbox, given).await;
    for (block, which) in [
        ("47.94.95.118/32", "a"),
        ("47.94.95.119/32", ""),
        ("47.94.0.0/16", "b a"),
        ("0.0.0.0/0", "b a"),
        ("2001:db8::/32", "c"),
        ("2001:db8::8/128", ""),
    ] {
        let from = Sift {
            source: Some(block.parse().unwrap()),
            ..sift(100)
        };
        assert_eq!(found(inbox, from.clone()).await, which, "{block}");
        let mut of_subject = from;
        of_subject.filter.subject = Subject::parse("incident:664af");
        assert_eq!(found(inbox, of_subject).await, which, "{block}");
    }
    let both = Sift {
        source: Some("47.94.0.0/16".parse().unwrap()),
        ..text("\"n\":2")
    };
    assert_eq!(found(inbox, both).await, "b");
}

pub(in crate::inbox) async fn a_search_goes_on_where_it_ended_and_loses_and_repeats_nothing(
    inbox: &dyn Inbox,
) {
    const EVENTS: usize = 23;
    let mut wanted = Vec::new();
    for n in 1..=EVENTS {
        let id: &'static str = format!("n{n}").leak();
        let body = if n % 7 == 0 || n == 8 {
            r#""needle""#
        } else {
            "{}"
        };
        let received = i64::try_from(n).unwrap();
        offer(inbox, event(id).body(body).received(received)).await;
        if body != "{}" {
            wanted.push(id);
        }
    }
    wanted.reverse();
    for (rows, limit, time) in [
        (1, 10, LONG),
        (4, 10, LONG),
        (4, 1, LONG),
        (100, 1, LONG),
        (100, 2, LONG),
        (100, 10, LONG),
        // One look at least, or nobody ever gets anywhere.
        (3, 10, Duration::ZERO),
    ] {
        let (mut seen, mut empty, mut reached) = (Vec::new(), 0, at(i64::from(u16::MAX)));
        let mut next = Some(None);
        let mut pages = 0;
        while let Some(cursor) = next.take() {
            pages += 1;
            assert!(pages <= EVENTS + 1, "it does not end");
            let mut sift = Sift {
                rows,
                text: Needle::new("NEEDLE"),
                ..sift(limit)
            };
            sift.filter.cursor = cursor;
            let found = search(inbox, sift, time).await.unwrap();
            assert!(found.page.items.len() <= limit);
            empty += usize::from(found.page.items.is_empty());
            if let Some(to) = found.searched_to {
                assert!(to < reached, "it looked at the same again");
                reached = to;
            }
            seen.extend(found.page.items.into_iter().filter_map(|row| row.event_id));
            next = found.page.next_cursor.map(Some);
        }
        assert_eq!(seen, wanted, "{rows} rows, {limit} wanted");
        assert_eq!(reached, at(1), "it looked at all there are");
        assert!(rows > 4 || limit == 1 || empty > 0, "{rows} rows");
    }
    let mut wrong = text("x");
    wrong.filter.cursor = Some("x".to_owned());
    let refused = search(inbox, wrong, LONG).await;
    assert!(matches!(refused, Err(InboxError::Refused(_))));
}

pub(in crate::inbox) async fn a_search_ends_where_events_are_too_old(inbox: &dyn Inbox) {
    for (id, seconds) in [("a", 10), ("b", 20), ("c", 30)] {
        offer(inbox, event(id).received(seconds)).await;
    }
    let mut since = text("i_ack");
    since.filter.since = Some(at(20));
    assert_eq!(found(inbox, since.clone()).await, "c b");
    since.filter.until = Some(at(30));
    assert_eq!(found(inbox, since).await, "b");
}

pub(in crate::inbox) async fn what_came_long_before_it_was_stored_hides_nothing_behind_it(
    inbox: &dyn Inbox,
) {
    // The last two were offered again out of the box, with the time at which they came.
    for (id, seconds) in [("a", 100), ("b", 110), ("c", 2), ("d", 1)] {
        offer(inbox, event(id).received(seconds)).await;
    }
    for subject in [None, Subject::parse("incident:664af")] {
        let mut listed = sift(1).filter;
        listed.since = Some(at(50));
        listed.subject = subject;
        let sought = Sift {
            filter: EventFilter {
                limit: 10,
                ..listed.clone()
            },
            ..text("i_ack")
        };
        assert_eq!(found(inbox, sought).await, "b a");
        let mut seen = Vec::new();
        loop {
            let page = inbox.events(listed.clone()).await.unwrap();
            seen.extend(page.items);
            listed.cursor = page.next_cursor;
            if listed.cursor.is_none() {
                break;
            }
        }
        assert_eq!(ids(&seen), "b a");
    }
}

pub(in crate::inbox) async fn a_list_shows_titles_of_bodies_that_are_there_and_not_too_long(
    inbox: &dyn Inbox,
) {
    let title = r#"{"incident":{"title":"磁盘","incident_severity":"Critical"}}"#;
    let long: &'static str = format!("{title}{}", " ".repeat(256 << 10)).leak();
    let given = vec![
        event("a").body(title),
        event("b").body(long),
        event("c"),
        event("d").body("no push"),
    ];
    let stored = offer_all(inbox, given).await;
    let seqs: Vec<Seq> = stored.iter().map(|offered| offered.seq).collect();
    let asked = [vec![Seq(i64::MAX)], seqs.clone()].concat();
    let mut bodies = inbox.bodies(asked).await.unwrap();
    bodies.sort_by_key(|(seq, _)| *seq);
    let given: Vec<Seq> = bodies.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(given, seqs);
    assert_eq!(bodies[1].1, long);
    let mut rows = inbox.events(sift(10).filter).await.unwrap().items;
    assert!(rows.iter().all(|row| row.title.is_none()), "none is stored");
    headlines(inbox, &mut rows).await.unwrap();
    let said = rows
        .iter()
        .map(|row| (row.title.as_deref(), row.severity.as_deref()));
    let wanted = [
        (None, None),
        (None, None),
        (None, None),
        (Some("磁盘"), Some("Critical")),
    ];
    assert_eq!(said.collect::<Vec<_>>(), wanted);
}
