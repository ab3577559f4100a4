//! Sinks: whether what each delivers to is there. Nothing is delivered.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access, access};
use secrecy::ExposeSecret as _;
use tokio::time::timeout;

use super::report::Check;
use super::{PATIENCE, names};
use crate::app;
use crate::clock::Clock;
use crate::config::{Destination, ExecSink, FileSink, Loaded, Sink};
use crate::sink::exec::SEARCHED;

/// Looks at the sink `name`.
pub(super) async fn check(loaded: &Loaded, name: &str, clock: Arc<dyn Clock>) -> Check {
    let mut check = Check::new(format!("sink {name}"));
    let Some(sink) = loaded.settings.sinks.get(name) else {
        return check;
    };
    match &sink.to {
        Destination::Log(_) => check.tell("writes to standard output"),
        Destination::Exec(exec) => program(&mut check, name, exec),
        Destination::File(file) => folder(&mut check, name, file),
        Destination::Http(_)
        | Destination::Nats(_)
        | Destination::Redis(_)
        | Destination::Kafka(_) => greet(&mut check, loaded, (name, sink), clock).await,
    }
    check
}

async fn greet(
    check: &mut Check,
    loaded: &Loaded,
    (name, sink): (&str, &Sink),
    clock: Arc<dyn Clock>,
) {
    let key = match &sink.to {
        Destination::Kafka(_) => "brokers",
        _ => "url",
    };
    let waits = format!(
        "see that it runs and that this machine reaches it, or correct sink.{name}.{key}; its \
         events wait in the store meanwhile"
    );
    let greeting = app::greet(loaded, name, Arc::clone(&clock));
    let greeting = match timeout(PATIENCE, greeting).await {
        Ok(Ok(greeting)) => greeting,
        Ok(Err(error)) => return check.fail(format!("{error:#}"), waits),
        Err(_elapsed) => return check.fail(format!("no answer within {PATIENCE:?}"), waits),
    };
    let host = shown(sink);
    if let Some(there) = greeting.clock {
        let whose = format!("{host} (sink.{name})");
        check.read_clock(whose, there, clock.now());
    }
    match greeting.status {
        Some(status @ (502 | 504)) => check.warn(
            format!("{host} answers {status}: what is behind it does not answer"),
            waits,
        ),
        Some(407) => check.fail(
            "its proxy wants to know who asks (407)",
            format!("correct sink.{name}.proxy"),
        ),
        Some(status) => check.tell(format!("{host} answers ({status} to a HEAD of /)")),
        None => check.tell("it answers"),
    }
}

fn shown(sink: &Sink) -> String {
    let host = match &sink.to {
        Destination::Http(http) => http
            .url
            .as_ref()
            .and_then(|url| names::host(url.expose_secret())),
        _ => None,
    };
    host.unwrap_or_else(|| "it".to_owned())
}

/// What an exec sink would run.
fn program(check: &mut Check, name: &str, exec: &ExecSink) {
    if let Some(directory) = exec.directory.as_ref().filter(|folder| !folder.is_dir()) {
        check.fail(
            format!("{} is no folder to run in", directory.display()),
            format!("make it, or correct sink.{name}.directory"),
        );
        return;
    }
    let Some(program) = exec.command.first() else {
        return;
    };
    let directory = exec.directory.as_deref().unwrap_or(Path::new("."));
    let places: Vec<PathBuf> = match program.contains('/') {
        true => vec![directory.join(program)],
        false => SEARCHED
            .split(':')
            .map(|folder| Path::new(folder).join(program))
            .collect(),
    };
    if let Some(found) = places.iter().find(|place| runs(place)) {
        check.tell(format!("runs {}", found.display()));
    } else if let Some(found) = places.iter().find(|place| place.exists()) {
        let found = found.display();
        check.fail(
            format!("{found} may not be executed by this user"),
            format!("chmod +x {found}, or correct sink.{name}.command"),
        );
    } else {
        check.fail(
            format!("there is no program {program}"),
            format!(
                "install it, or give its whole path in sink.{name}.command (searched: {SEARCHED})"
            ),
        );
    }
}

fn runs(place: &Path) -> bool {
    place.is_file() && access(place, Access::EXEC_OK).is_ok()
}

/// Where a file sink would write.
fn folder(check: &mut Check, name: &str, file: &FileSink) {
    let Some(path) = &file.path else {
        return;
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    let mut tried = access(folder, Access::WRITE_OK | Access::EXEC_OK);
    if tried.is_ok() && path.exists() {
        tried = access(path, Access::WRITE_OK);
    }
    match tried {
        Ok(()) => check.tell(format!("writes to {}", path.display())),
        Err(error) => check.fail(
            format!("{} cannot be written to: {error}", path.display()),
            format!(
                "make the folder {} and let the receiver's user write there, or correct \
                 sink.{name}.path",
                folder.display()
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(command: &[&str]) -> Vec<String> {
        let exec = ExecSink {
            command: command.iter().map(ToString::to_string).collect(),
            ..ExecSink::default()
        };
        let mut check = Check::new("sink heal");
        program(&mut check, "heal", &exec);
        let found = check.found();
        found
            .iter()
            .map(|(_, what, _)| (*what).to_owned())
            .collect()
    }

    #[test]
    fn a_program_is_looked_for_where_the_sink_would_find_it() {
        assert_eq!(said(&["sh", "-c", "true"]), Vec::<String>::new());
        assert_eq!(said(&["/bin/sh"]), Vec::<String>::new());
        let missing = said(&["no-such-program"]);
        assert_eq!(missing, ["there is no program no-such-program"]);
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("heal");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        let script = script.to_str().unwrap();
        let expected = format!("{script} may not be executed by this user");
        assert_eq!(said(&[script]), [expected]);
    }

    #[test]
    fn a_file_whose_folder_is_not_there_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: PathBuf| {
            let file = FileSink {
                path: Some(path),
                ..FileSink::default()
            };
            let mut check = Check::new("sink file");
            super::folder(&mut check, "file", &file);
            let found = check.found();
            found
                .iter()
                .map(|(_, what, _)| (*what).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(said(folder.path().join("events.log")), Vec::<String>::new());
        let missing = said(folder.path().join("none/events.log"));
        assert!(
            missing[0].contains("none/events.log cannot be written to: No such"),
            "{missing:?}"
        );
    }
}
