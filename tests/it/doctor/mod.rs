//! What the doctor finds: real faults, planted one at a time, and the words it has for each.

mod disk;
mod others;
mod well;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::fake::{FakeServer, Reply};
use crate::receiver::{command, now};
use crate::sender::KEY;

const PASSWORD: &str = "wr0ng-passw0rd";
const TOKEN: &str = "t0ken-0f-the-pushes-0123456789";

/// What came of one run.
struct Visit {
    code: Option<i32>,
    report: Value,
}

impl Visit {
    fn of(mut doctor: Command) -> Self {
        let output = doctor.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        for secret in [KEY, PASSWORD, TOKEN, "secret-path"] {
            assert!(!said.contains(secret) && !errors.contains(secret), "{said}");
        }
        let report = serde_json::from_str(&said);
        Self {
            code: output.status.code(),
            report: report.unwrap_or_else(|error| panic!("{error}: {said}{errors}")),
        }
    }

    fn check(&self, name: &str) -> &Value {
        let mut checks = self.report["checks"].as_array().unwrap().iter();
        checks
            .find(|check| check["check"] == name)
            .unwrap_or_else(|| panic!("no {name}: {}", self.report))
    }

    /// What the only finding of a check with this status says, and what it advises.
    fn finding(&self, name: &str, status: &str) -> [&str; 2] {
        let findings = self.check(name)["findings"].as_array().unwrap().iter();
        let such = findings.filter(|finding| finding["status"] == status);
        let such: Vec<&Value> = such.collect();
        assert_eq!(such.len(), 1, "{}", self.report);
        ["what", "advice"].map(|key| such[0][key].as_str().unwrap())
    }
}

/// The doctor in `folder`, with `configuration`.
fn doctor(folder: &Path, configuration: &str) -> Command {
    std::fs::write(folder.join("config.toml"), configuration).unwrap();
    command(folder, &["doctor", "--json"])
}

/// What the doctor says of `configuration`, in a folder of its own.
fn visit(configuration: &str) -> Visit {
    let folder = tempfile::tempdir().unwrap();
    Visit::of(doctor(folder.path(), configuration))
}

/// Runs `command` within what `prefix` is told to do first.
fn within(prefix: &[&str], inner: &Command) -> Command {
    let mut outer = Command::new(prefix[0]);
    outer
        .args(&prefix[1..])
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(inner.get_current_dir().unwrap())
        .env_clear()
        .env("PATH", "/usr/bin:/bin");
    outer
}

fn allow(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Takes everything, and says what time it is.
fn tools() -> FakeServer {
    FakeServer::new(|_, _| {
        let now = jiff::Timestamp::from_millisecond(now()).unwrap();
        let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        Reply::new(200, "").with("Date", &date)
    })
}
