//! The configuration: whether it can be used, and who may read its secrets.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use super::report::{Check, parted};
use crate::cli::settings;
use crate::config::{ConfigError, Destination, Loaded, Problem};

/// For what says nothing of what to do about it.
const MEANT: &str =
    "change it, unless it is meant so; `flashduty-receiver check` shows all that is used";

/// Where container engines put what they mount for one container alone.
const MOUNTED: &str = "/run/secrets";

/// Reads the configuration as the start does. None when the start would refuse it.
pub(super) fn check(config: Option<&Path>) -> (Check, Option<Loaded>) {
    let mut check = Check::new("configuration");
    let read = settings::load(config);
    let read = read.and_then(|loaded| settings::rules(&loaded).map(|_rules| loaded));
    let loaded = match read {
        Ok(loaded) => loaded,
        Err(error) => {
            blame(&mut check, &error);
            return (check, None);
        }
    };
    for warning in &loaded.warnings {
        let (what, advice) = parted(warning, MEANT);
        check.warn(what, advice);
    }
    check.tell(told(&loaded));
    (check, Some(loaded))
}

fn blame(check: &mut Check, error: &anyhow::Error) {
    let Some(wrong) = error.downcast_ref::<ConfigError>() else {
        check.misuse(format!("{error:#}"), "correct it");
        return;
    };
    for problem in wrong.problems() {
        let what = Problem {
            allowed: None,
            ..problem.clone()
        };
        let advice = match &problem.allowed {
            Some(allowed) => format!("allowed: {allowed}"),
            None => "correct it, or leave it out".to_owned(),
        };
        check.misuse(what.to_string(), advice);
    }
}

fn told(loaded: &Loaded) -> String {
    let files = loaded.files.iter().map(|file| file.display().to_string());
    let files = match files.collect::<Vec<_>>() {
        none if none.is_empty() => "no file: the built-in defaults and the environment".to_owned(),
        files => files.join(", "),
    };
    let sinks = loaded.settings.sinks.iter();
    let sinks = sinks.filter(|(_, sink)| sink.is_enabled());
    let sinks: Vec<&str> = sinks.map(|(name, _)| name.as_str()).collect();
    match sinks.is_empty() {
        true => files,
        false => format!("{files}; sinks: {}", sinks.join(", ")),
    }
}

/// Whether every user of this machine may read a secret, or change it.
pub(super) fn secrets(loaded: &Loaded) -> Check {
    let mut check = Check::new("secrets");
    let files = files(loaded);
    for file in &files {
        let Some(mode) = mode(file).filter(|mode| mode & 0o7 != 0) else {
            continue;
        };
        if !is_mounted(file) {
            let file = file.display();
            check.warn(
                format!(
                    "every user of this machine may use {file}, which holds a secret (mode \
                     {mode:04o})"
                ),
                format!(
                    "chmod o= {file}, and chown it to the receiver's user where that is another \
                     one"
                ),
            );
        }
    }
    check.tell(match files.len() {
        0 => "none is in a file of its own".to_owned(),
        1 => "1 file".to_owned(),
        many => format!("{many} files"),
    });
    check
}

fn files(loaded: &Loaded) -> Vec<PathBuf> {
    let mut files = loaded.secret_files.clone();
    let sinks = loaded.settings.sinks.values();
    files.extend(sinks.filter_map(|sink| match &sink.to {
        Destination::Nats(nats) => Some(nats.credentials_file.as_ref()?.path()?.to_owned()),
        _ => None,
    }));
    files.sort();
    files.dedup();
    files
}

fn mode(file: &Path) -> Option<u32> {
    let meta = std::fs::metadata(file).ok()?;
    Some(meta.mode() & 0o7777)
}

/// Whether a container engine put it there: no other user sees it. A kubelet's files lead through a
/// folder whose name begins with two dots.
fn is_mounted(file: &Path) -> bool {
    let Ok(file) = std::fs::canonicalize(file) else {
        return false;
    };
    let by_kubelet = |part: Component<'_>| match part {
        Component::Normal(name) => name.as_bytes().starts_with(b".."),
        _ => false,
    };
    file.starts_with(MOUNTED) || file.components().any(by_kubelet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kubelet_mounts_is_seen_by_one_container_alone() {
        let folder = tempfile::tempdir().unwrap();
        let version = folder.path().join("..2026_05_04");
        std::fs::create_dir(&version).unwrap();
        std::fs::write(version.join("token"), "s").unwrap();
        let link = folder.path().join("token");
        std::os::unix::fs::symlink("..2026_05_04/token", &link).unwrap();
        assert!(is_mounted(&link));
        let own = folder.path().join("own");
        std::fs::write(&own, "s").unwrap();
        assert!(!is_mounted(&own));
        assert!(!is_mounted(&folder.path().join("missing")));
    }
}
