//! The box of unreadable pushes, from the command line, while no receiver runs.

use bytes::Bytes;
use clap::Parser as _;
use tempfile::TempDir;

use super::store::{block_on, home, open, ran};
use crate::cli::{Cli, Exit};
use crate::event::Route;
use crate::inbox::query::{AuditFilter, UnreadableFilter};
use crate::inbox::{Inbox as _, Unreadable, UnreadableBounds};

/// A store with three pushes in the box, the second from another address.
fn filled() -> TempDir {
    let home = home("");
    let inbox = open(&home);
    let push = |source: &str| Unreadable {
        received_at: "2026-05-04T10:00:00Z".parse().unwrap(),
        reason: "line 1: no JSON".to_owned(),
        route: Route::default(),
        source_ip: Some(source.parse().unwrap()),
        peer_ip: None,
        body: Bytes::from_static(b"{"),
    };
    let bounds = UnreadableBounds {
        count: 10,
        bytes: 100,
    };
    let pushes = ["192.0.2.7", "192.0.2.8", "192.0.2.7"].map(push).to_vec();
    block_on(inbox.keep_unreadable(pushes, bounds)).unwrap();
    block_on(inbox.close()).unwrap();
    home
}

/// The numbers of those in the box, oldest first, and who dropped how many why.
fn left(home: &TempDir) -> (Vec<i64>, Vec<(String, u64, String)>) {
    let inbox = open(home);
    let filter = UnreadableFilter {
        oldest_first: true,
        ..UnreadableFilter::newest(10)
    };
    let rows = block_on(inbox.unreadables(filter)).unwrap().items;
    let audit = block_on(inbox.audited(AuditFilter::newest(10))).unwrap();
    block_on(inbox.close()).unwrap();
    let audit = audit.items.into_iter();
    let audit = audit.map(|line| (line.who, line.count, line.reason));
    (rows.iter().map(|row| row.id).collect(), audit.collect())
}

#[test]
fn many_are_dropped_only_once_somebody_agreed_and_the_audit_says_so() {
    let home = filled();
    let drop = "unreadable drop --all --source 192.0.2.7 --reason tested";
    let (result, out, err) = ran(&home, drop);
    assert_eq!(result.unwrap(), Exit::Usage);
    assert_eq!(out, "");
    insta::assert_snapshot!(err, @"2 pushes would be gone for good. Nobody can be asked here; give --yes to agree, or --dry-run to look");
    let (result, out, _) = ran(&home, &format!("{drop} --dry-run"));
    assert_eq!(result.unwrap(), Exit::Done);
    assert_eq!(out, "1 dropped\n3 dropped\n2 would be dropped\n");
    assert_eq!(left(&home), (vec![1, 2, 3], vec![]));
    let (result, out, _) = ran(&home, &format!("{drop} --yes"));
    assert_eq!(result.unwrap(), Exit::Done);
    assert_eq!(out, "2 dropped\n");
    let line = ("the command line".to_owned(), 2, "tested".to_owned());
    assert_eq!(left(&home), (vec![2], vec![line]));
}

#[test]
fn one_is_dropped_at_once_and_not_twice() {
    let home = filled();
    let (result, out, _) = ran(&home, "unreadable drop 2 --reason tested");
    assert_eq!(result.unwrap(), Exit::Done);
    assert_eq!(out, "dropped\n");
    let (result, ..) = ran(&home, "unreadable drop 2 --reason tested");
    assert!(result.unwrap_err().to_string().contains("has the number 2"));
    assert_eq!(left(&home).0, [1, 3]);
}

#[test]
fn the_list_is_filtered() {
    let home = filled();
    for (filter, count) in [
        ("--source 192.0.2.8", 1),
        ("--holds no", 3),
        ("--holds type", 0),
        ("--route /", 3),
        ("--route /ops", 0),
        ("--until 2026-05-04T10:00:00Z", 0),
    ] {
        let (_, out, _) = ran(&home, &format!("unreadable --json {filter}"));
        assert_eq!(out.lines().count(), count, "{filter}");
    }
}

#[test]
fn what_selects_pushes_is_never_left_unheeded() {
    let home = filled();
    let (result, _, err) = ran(
        &home,
        "unreadable --since 2h drop --all --yes --reason tested",
    );
    assert_eq!(result.unwrap(), Exit::Usage);
    assert!(err.contains("behind the command"), "{err}");
    assert_eq!(left(&home).0, [1, 2, 3]);
    for (line, good) in [
        ("offer 3", true),
        ("offer --all", true),
        ("offer --all --since 2h --dry-run", true),
        ("offer", false),
        ("offer --since 2h", false),
        ("offer 3 --all", false),
        ("offer 3 --since 2h", false),
        ("offer 3 --dry-run", false),
        ("offer 3 --yes", false),
        ("offer 3 --reason tested", false),
        ("drop 3", false),
        ("drop 3 --reason tested", true),
        ("drop --all --reason tested", true),
        ("drop 3 --all --reason tested", false),
    ] {
        let line = format!("flashduty-receiver unreadable {line}");
        assert_eq!(Cli::try_parse_from(line.split(' ')).is_ok(), good, "{line}");
    }
}
