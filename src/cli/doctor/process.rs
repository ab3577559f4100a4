//! What the system allows a process that is started as this one is: files, memory, and as whom.

use std::path::{Path, PathBuf};

use rustix::process::{Resource, geteuid, getrlimit};

use super::report::{Check, size};
use crate::app;
use crate::config::Settings;

/// What a receiver takes beside the bodies of pushes.
const OWN_MEMORY: u64 = 64 << 20;

/// What a control group says that has no limit, in its first version, is as good as none.
const LIMITLESS: u64 = 1 << 60;

/// Looks at all of them.
pub(super) fn checks(settings: &Settings) -> Vec<Check> {
    // The start raises the limit as far as it may by itself.
    let files = getrlimit(Resource::Nofile).maximum;
    let wanted = usize::try_from(settings.server.max_connections).unwrap_or(usize::MAX);
    let memory = memory_limit();
    vec![
        open_files(files, wanted),
        memory_for(memory, settings.server.max_inflight),
        user(geteuid().is_root()),
    ]
}

fn open_files(limit: Option<u64>, wanted: usize) -> Check {
    let mut check = Check::new("open files");
    let allowed = app::public_connections(limit, wanted);
    let said = match limit {
        Some(limit) => format!("{limit} may be open"),
        None => "any number may be open".to_owned(),
    };
    if allowed < wanted {
        check.warn(
            format!("{said}: enough for {allowed} of server.max_connections = {wanted}"),
            format!(
                "raise the limit to {} (LimitNOFILE= of systemd, --ulimit nofile= of a container, \
                 `ulimit -Hn` of a shell), or lower server.max_connections",
                app::files_for(wanted)
            ),
        );
    }
    check.tell(said);
    check
}

fn memory_for(limit: Option<u64>, inflight: u64) -> Check {
    let mut check = Check::new("memory");
    let wanted = inflight.saturating_mul(2).saturating_add(OWN_MEMORY);
    let Some(limit) = limit else {
        check.tell("its control group has no limit");
        return check;
    };
    if limit < wanted {
        check.warn(
            format!(
                "its control group may take {}, and bodies alone {} of it (server.max_inflight)",
                size(limit),
                size(inflight)
            ),
            format!(
                "raise the limit to {}, or lower server.max_inflight",
                size(wanted)
            ),
        );
    }
    check.tell(format!("its control group may take {}", size(limit)));
    check
}

fn user(is_root: bool) -> Check {
    let mut check = Check::new("user");
    if is_root {
        check.warn(
            "this runs as root, as would a receiver that is started like this",
            "run both as a user of their own (User= of systemd, runAsUser on Kubernetes): root \
             may do what that user may not, so that some findings show only there",
        );
    }
    check.tell(if is_root { "root" } else { "not root" });
    check
}

/// The memory limit of this process's control group, or of the nearest one around it that has one.
fn memory_limit() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let folders = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return None,
        };
        Some((root, path.to_owned(), file))
    });
    folders
        .flat_map(|(root, path, file)| files(root, &path, file))
        .filter_map(|file| limit(&std::fs::read_to_string(file).ok()?))
        .min()
}

/// The file of a group and of all around it. In a container the path may lead nowhere, and the root
/// is the container's.
fn files(root: &str, path: &str, file: &str) -> Vec<PathBuf> {
    let groups = Path::new(path.trim_start_matches('/')).ancestors();
    groups
        .map(|group| Path::new(root).join(group).join(file))
        .collect()
}

fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| *bytes < LIMITLESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(check: &Check) -> String {
        let found = check.found();
        found
            .first()
            .map_or_else(String::new, |found| format!("{} -> {}", found.1, found.2))
    }

    #[test]
    fn a_limit_of_open_files_is_told_with_the_one_that_would_do() {
        assert_eq!(said(&open_files(None, 4096)), "");
        assert_eq!(said(&open_files(Some(4392), 4096)), "");
        let few = said(&open_files(Some(1024), 4096));
        assert!(
            few.starts_with("1024 may be open: enough for 861 of server.max_connections = 4096"),
            "{few}"
        );
        assert!(few.contains("raise the limit to 4392 "), "{few}");
    }

    #[test]
    fn memory_must_do_for_bodies_twice_and_for_the_rest() {
        assert_eq!(said(&memory_for(None, 64 << 20)), "");
        assert_eq!(said(&memory_for(Some(192 << 20), 64 << 20)), "");
        assert_eq!(
            said(&memory_for(Some(100 << 20), 64 << 20)),
            "its control group may take 100 MiB, and bodies alone 64 MiB of it \
             (server.max_inflight) -> raise the limit to 192 MiB, or lower server.max_inflight"
        );
    }

    #[test]
    fn the_limit_is_looked_for_in_all_groups_around() {
        let found = files("/sys/fs/cgroup", "/system.slice/x.service", "memory.max");
        let expected = ["system.slice/x.service/", "system.slice/", ""]
            .map(|group| PathBuf::from(format!("/sys/fs/cgroup/{group}memory.max")));
        assert_eq!(found, expected);
        assert_eq!(limit("max\n"), None);
        assert_eq!(limit("536870912\n"), Some(512 << 20));
        assert_eq!(limit("9223372036854771712\n"), None);
    }

    #[test]
    fn root_is_warned() {
        assert!(said(&user(true)).starts_with("this runs as root"));
        assert_eq!(said(&user(false)), "");
    }
}
