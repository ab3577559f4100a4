//! The box of unreadable pushes as people see and empty it, and what the audit says of that.

use super::*;
use crate::inbox::query::{AuditFilter, UnreadableFilter};

const BOUNDS: UnreadableBounds = UnreadableBounds {
    count: 100,
    bytes: 1 << 20,
};

fn push(received: i64, reason: &str, (source, tag): (u8, &str)) -> Unreadable {
    Unreadable {
        received_at: at(received),
        reason: reason.to_owned(),
        route: Route {
            tag: (!tag.is_empty()).then(|| tag.into()),
            query: None,
        },
        source_ip: Some(IpAddr::from([192, 0, 2, source])),
        peer_ip: None,
        body: Bytes::from_static(b"{"),
    }
}

/// Keeps four pushes, and gives their ids, oldest first.
async fn four(inbox: &dyn Inbox) -> Vec<i64> {
    let pushes = vec![
        push(10, "line 1: no JSON", (1, "")),
        push(20, "there is no event type", (1, "ops")),
        push(30, "line 7: No json, ÄRGER", (2, "ops")),
        push(40, "100% of it is missing", (2, "")),
    ];
    inbox.keep_unreadable(pushes, BOUNDS).await.unwrap();
    let found = found(inbox, oldest_first(10)).await;
    assert_eq!(found.len(), 4);
    found
}

fn oldest_first(limit: usize) -> UnreadableFilter {
    UnreadableFilter {
        oldest_first: true,
        ..UnreadableFilter::newest(limit)
    }
}

async fn found(inbox: &dyn Inbox, filter: UnreadableFilter) -> Vec<i64> {
    let page = inbox.unreadables(filter).await.unwrap();
    page.items.iter().map(|row| row.id).collect()
}

fn audit(action: &'static str) -> Audit {
    Audit {
        who: "10.0.0.9".to_owned(),
        action,
        selector: "reason=no JSON".to_owned(),
        reason: "mended".to_owned(),
    }
}

fn with(narrow: impl FnOnce(&mut UnreadableFilter)) -> UnreadableFilter {
    let mut filter = oldest_first(10);
    narrow(&mut filter);
    filter
}

fn holding(reason: &str) -> UnreadableFilter {
    with(|all| all.reason = Some(reason.to_owned()))
}

fn to(tag: Option<&str>) -> UnreadableFilter {
    let route = Route {
        tag: tag.map(Into::into),
        query: None,
    };
    with(|all| all.route = Some(route))
}

pub(in crate::inbox) async fn unreadable_pushes_are_found_by_time_source_reason_and_route(
    inbox: &dyn Inbox,
) {
    let ids = four(inbox).await;
    let second = ids[1];
    let cases: Vec<(UnreadableFilter, &[usize])> = vec![
        (with(|all| all.since = Some(at(20))), &[1, 2, 3]),
        (with(|all| all.until = Some(at(20))), &[0]),
        (
            with(|all| all.source = Some([192, 0, 2, 2].into())),
            &[2, 3],
        ),
        (holding("no json"), &[0, 2]),
        // Only ASCII has two cases, and nothing stands for anything else.
        (holding("ärger"), &[]),
        (holding("100%"), &[3]),
        (holding("l%ne"), &[]),
        (holding(""), &[0, 1, 2, 3]),
        (to(Some("ops")), &[1, 2]),
        (to(None), &[0, 3]),
        (with(|all| all.upto = Some(second)), &[0, 1]),
    ];
    for (filter, wanted) in cases {
        let wanted: Vec<_> = wanted.iter().map(|place| ids[*place]).collect();
        let told = format!("{filter:?}");
        assert_eq!(found(inbox, filter).await, wanted, "{told}");
    }
}

pub(in crate::inbox) async fn pages_of_unreadable_pushes_show_each_once_in_either_order(
    inbox: &dyn Inbox,
) {
    let ids = four(inbox).await;
    for oldest_first in [true, false] {
        let mut filter = UnreadableFilter {
            oldest_first,
            ..UnreadableFilter::newest(3)
        };
        let mut seen = Vec::new();
        loop {
            let page = inbox.unreadables(filter.clone()).await.unwrap();
            seen.extend(page.items.iter().map(|row| row.id));
            let Some(next) = page.next_cursor else { break };
            filter.cursor = Some(next.parse().unwrap());
        }
        if !oldest_first {
            seen.reverse();
        }
        assert_eq!(seen, ids, "oldest first: {oldest_first}");
    }
}

pub(in crate::inbox) async fn what_is_removed_by_hand_stands_in_the_audit_with_its_number(
    inbox: &dyn Inbox,
) {
    let ids = four(inbox).await;
    let remove = async |ids: Vec<i64>, action, now| {
        let gone = inbox.remove_unreadable(ids, audit(action), at(now)).await;
        gone.unwrap()
    };
    let asked = vec![ids[2], i64::MAX, ids[0]];
    assert_eq!(
        remove(asked.clone(), "drop_unreadable", 50).await,
        [true, false, true]
    );
    assert_eq!(found(inbox, oldest_first(10)).await, [ids[1], ids[3]]);
    assert_eq!(remove(asked, "drop_unreadable", 60).await, [false; 3]);
    assert_eq!(remove(vec![ids[1]], "offer_unreadable", 70).await, [true]);
    let told = async |filter: AuditFilter| {
        let lines = inbox.audited(filter).await.unwrap().items;
        let lines = lines.into_iter();
        lines
            .map(|line| (line.at, line.action, line.count, line.who))
            .collect::<Vec<_>>()
    };
    let who = || "10.0.0.9".to_owned();
    let offered = (at(70), "offer_unreadable".to_owned(), 1, who());
    let dropped = (at(50), "drop_unreadable".to_owned(), 2, who());
    let newest = AuditFilter::newest(10);
    let both = [offered.clone(), dropped.clone()];
    assert_eq!(
        told(newest.clone()).await,
        both,
        "what removed nothing is not told"
    );
    let by_action = AuditFilter {
        action: Some("drop_unreadable".to_owned()),
        ..newest.clone()
    };
    assert_eq!(told(by_action).await, std::slice::from_ref(&dropped));
    let since = AuditFilter {
        since: Some(at(70)),
        ..newest.clone()
    };
    assert_eq!(told(since).await, [offered]);
    let until = AuditFilter {
        until: Some(at(70)),
        ..newest
    };
    assert_eq!(told(until).await, [dropped]);
}

pub(in crate::inbox) async fn what_no_other_verb_says_is_noted_in_the_audit(inbox: &dyn Inbox) {
    let told = inbox.note(audit("drain_spill"), 300, at(50)).await;
    told.unwrap();
    let lines = inbox.audited(AuditFilter::newest(10)).await.unwrap().items;
    let lines = lines.into_iter();
    let lines: Vec<_> = lines
        .map(|line| (line.at, line.who, line.action, line.count))
        .collect();
    let (who, action) = ("10.0.0.9".to_owned(), "drain_spill".to_owned());
    assert_eq!(lines, [(at(50), who, action, 300)]);
}
