//! The store's place and file, or those of the spill beside a database: where they lie, how much
//! room there is, and how long a sync takes.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::report::{Check, millis, parted, size};
use crate::config::{Settings, Store, StoreUrl};
use crate::inbox::spill::Contents;
use crate::inbox::sqlite::OpenError;
use crate::inbox::sqlite::examine::{self, Ground, Header, Site};
use crate::inbox::sqlite::spill;

/// How often a sync is timed, and for how long at most.
const SYNCS: usize = 10;
const SYNCING: Duration = Duration::from_secs(3);

/// A push waits for a sync or two, and its answer is due within a second.
const SLOW: Duration = Duration::from_millis(50);
const TOO_SLOW: Duration = Duration::from_millis(500);

/// Before that, how the store grows says little.
const ENOUGH: SignedDuration = SignedDuration::from_hours(24);

/// What waits in a spill is drained as soon as the database answers.
const WAITED: SignedDuration = SignedDuration::from_mins(10);

/// Looks at the files of the store that `settings` name.
pub(super) fn checks(settings: &Settings, now: Timestamp) -> Vec<Check> {
    let store = &settings.store;
    match &store.url {
        StoreUrl::File(path) => {
            let mut check = Check::new("store");
            let (site, sync) = place(&mut check, path);
            if let Some(site) = site {
                let header = examine::look(path).unwrap_or_else(|error| {
                    blame(&mut check, &error);
                    None
                });
                room(&mut check, store, (&site, header.as_ref()), now);
                check.tell(told(path, &site, header.as_ref()));
            }
            [check].into_iter().chain(sync).collect()
        }
        StoreUrl::Memory => {
            let mut check = Check::new("store");
            check.warn(
                "the store is in memory: every restart loses what was not delivered, and the \
                 history",
                "name a file on a disk or a volume, such as store.url = \"sqlite:data/inbox.db\"",
            );
            vec![check]
        }
        StoreUrl::Postgres(_) => match store.spill_file() {
            Some(path) => spilled(path, now),
            None => Vec::new(),
        },
    }
}

fn spilled(path: &Path, now: Timestamp) -> Vec<Check> {
    let mut check = Check::new("spill");
    let (site, sync) = place(&mut check, path);
    let contents = match site.is_some() && path.exists() {
        true => spill::look(path),
        false => Ok(Contents::default()),
    };
    match contents {
        Ok(contents) => waiting(&mut check, &contents, now),
        Err(error) => blame(&mut check, &error),
    }
    if let Some(site) = site {
        check.tell(told(path, &site, None));
    }
    [check].into_iter().chain(sync).collect()
}

/// Where a file lies, and what a sync takes there; nothing of that where it cannot be written to.
fn place(check: &mut Check, path: &Path) -> (Option<Site>, Option<Check>) {
    let site = match examine::site(path) {
        Ok(site) => site,
        Err(error) => {
            blame(check, &error);
            return (None, None);
        }
    };
    let folder = site.folder.display();
    match site.ground {
        Ground::Solid => {}
        Ground::Passing(kind) => check.warn(
            format!(
                "{folder} is on {kind}: what is there is gone with the container or the machine"
            ),
            "mount a disk, a block volume or a named volume there",
        ),
        Ground::Network(kind) => {
            check.fail(
                format!("{folder} is on {kind}, where locks and syncs cannot be relied on"),
                "use a local disk or a block volume",
            );
            return (Some(site), None);
        }
    }
    match examine::sync_times(&site.folder, SYNCS, SYNCING) {
        Ok(times) => (Some(site), Some(syncs(times))),
        Err(error) => {
            blame(check, &error);
            (None, None)
        }
    }
}

fn syncs(mut times: Vec<Duration>) -> Check {
    let mut check = Check::new("sync");
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let worst = times.last().copied().unwrap_or_default();
    let (count, usual, longest) = (times.len(), millis(median), millis(worst));
    let what = format!("a sync takes {usual}, the longest of {count} took {longest}");
    let advice =
        "use a faster disk or class of volume, or find out who else writes to it (`iostat -x 1`)";
    if median >= TOO_SLOW {
        let what = format!("{what}: too long for an answer within the sender's second");
        check.fail(what, advice);
    } else if median >= SLOW || worst >= TOO_SLOW {
        check.warn(format!("{what}: pushes wait for it"), advice);
    } else {
        check.tell(what);
    }
    check
}

/// Says in the words of an opening that would fail why it would.
fn blame(check: &mut Check, error: &OpenError) {
    match error {
        OpenError::Unopenable { path, what, advice } => {
            let path = path.display();
            check.fail(
                format!("{path} cannot be written to: {what}"),
                advice.clone(),
            );
        }
        error if error.is_io() => check.broken(
            error.to_string(),
            "look at what the kernel says of the disk (dmesg), and restore a copy if need be",
        ),
        error => {
            let (what, advice) = parted(&error.to_string(), "name another one in store.url");
            check.fail(what, advice);
        }
    }
}

/// Whether what is free will do.
fn room(
    check: &mut Check,
    store: &Store,
    (site, header): (&Site, Option<&Header>),
    now: Timestamp,
) {
    let (bytes, unused) = header.map_or((0, 0), |header| (header.bytes, header.unused));
    let free = site.free.saturating_add(unused);
    let folder = site.folder.display();
    if free < store.min_free_disk {
        check.warn(
            format!(
                "{} are free for {folder}, less than store.min_free_disk = {}: settled history \
                 goes early",
                size(free),
                size(store.min_free_disk)
            ),
            "make room, enlarge the volume, or set a shorter store.retention",
        );
        return;
    }
    let most = site.free.saturating_add(bytes);
    if store.max_size > most {
        check.warn(
            format!(
                "store.max_size = {} is more than the volume of {folder} has for the store: {}",
                size(store.max_size),
                size(most)
            ),
            "enlarge the volume, or lower store.max_size",
        );
    }
    let made = header.and_then(|header| header.made);
    let age = made.map_or(SignedDuration::ZERO, |made| now.duration_since(made));
    let wanted = expected(bytes.saturating_sub(unused), age, store.retention);
    let cap = if store.max_size > 0 {
        store.max_size
    } else {
        most
    };
    if let Some(wanted) = wanted.filter(|wanted| *wanted > cap) {
        check.warn(
            format!(
                "as the store grows, the history of store.retention will take {}, and there is \
                 room for {}",
                size(wanted),
                size(cap)
            ),
            "enlarge the volume, or set a shorter store.retention; else history goes early",
        );
    }
}

/// Bytes of a store that is as old as `retention`, if it goes on growing as it did so far.
fn expected(bytes: u64, age: SignedDuration, retention: Duration) -> Option<u64> {
    let age = Duration::try_from(age).ok().filter(|_| age >= ENOUGH)?;
    if age >= retention {
        return None;
    }
    let whole = u128::from(bytes) * u128::from(retention.as_secs()) / u128::from(age.as_secs());
    Some(u64::try_from(whole).unwrap_or(u64::MAX))
}

fn told(path: &Path, site: &Site, header: Option<&Header>) -> String {
    let free = size(site.free);
    match header {
        Some(header) => format!("{}: {}, {free} free", path.display(), size(header.bytes)),
        None => format!("{}: {free} free", path.display()),
    }
}

fn waiting(check: &mut Check, contents: &Contents, now: Timestamp) {
    if contents.set_aside > 0 {
        check.warn(
            format!(
                "{} events of the spill were taken by the database neither as events nor as \
                 unreadable pushes",
                contents.set_aside
            ),
            "look at them with `flashduty-receiver spill list`",
        );
    }
    let oldest = contents.oldest.filter(|_| contents.events > 0);
    if let Some(oldest) = oldest.filter(|oldest| now.duration_since(*oldest) > WAITED) {
        check.warn(
            format!(
                "{} events wait in the spill since {oldest:.0}",
                contents.events
            ),
            "see that the database answers, and that the receiver of this spill runs; of one that \
             is gone, `flashduty-receiver spill drain` hands it to another",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Status;
    use super::*;

    fn judged(millis: &[u64]) -> Option<(Status, String)> {
        let times = millis.iter().map(|time| Duration::from_millis(*time));
        let check = syncs(times.collect());
        let found = check.found();
        found
            .first()
            .map(|(status, what, _)| (*status, (*what).to_owned()))
    }

    #[test]
    fn syncs_are_judged_by_the_median_and_by_the_longest() {
        assert_eq!(judged(&[1, 2, 400]), None);
        let (status, what) = judged(&[60, 1, 70]).unwrap();
        assert_eq!(status, Status::Warning);
        assert!(what.starts_with("a sync takes 60.0 ms, the longest of 3 took 70.0 ms"));
        assert_eq!(judged(&[1, 2, 500]).unwrap().0, Status::Warning);
        let (status, what) = judged(&[600]).unwrap();
        assert_eq!(status, Status::Failure);
        assert!(what.contains("too long for an answer"), "{what}");
    }

    #[test]
    fn a_store_is_expected_to_grow_as_it_did() {
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        let week = Duration::from_secs(7 * 24 * 3600);
        assert_eq!(expected(100, days(1), week), Some(700));
        assert_eq!(expected(100, days(7), week), None, "it is as old as that");
        assert_eq!(expected(100, SignedDuration::from_hours(23), week), None);
        assert_eq!(expected(100, days(-3), week), None);
    }

    #[test]
    fn too_little_room_is_said_with_both_numbers() {
        let site = Site {
            folder: "/data".into(),
            ground: Ground::Solid,
            size: 1 << 30,
            free: 100 << 20,
        };
        let now: Timestamp = "2026-05-04T10:00:00Z".parse().unwrap();
        let header = Header {
            schema: 1,
            bytes: 400 << 20,
            unused: 200 << 20,
            made: Some("2026-05-03T10:00:00Z".parse().unwrap()),
        };
        let said = |store: &Store, header: Option<&Header>| {
            let mut check = Check::new("store");
            room(&mut check, store, (&site, header), now);
            let found = check.found();
            found
                .first()
                .map_or_else(String::new, |found| found.1.to_owned())
        };
        let store = Store::default();
        assert_eq!(
            said(&store, None),
            "100 MiB are free for /data, less than store.min_free_disk = 256 MiB: settled history \
             goes early"
        );
        assert_eq!(
            said(&store, Some(&header)),
            "as the store grows, the history of store.retention will take 1.3 GiB, and there is \
             room for 500 MiB"
        );
        let capped = Store {
            max_size: 2 << 30,
            ..Store::default()
        };
        assert!(said(&capped, Some(&header)).starts_with("store.max_size = 2 GiB is more than"));
    }
}
