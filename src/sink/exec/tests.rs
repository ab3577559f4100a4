//! Real commands: what reaches them, how they end, and that nothing of them stays.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use super::*;
use crate::clock::SystemClock;
use crate::event::Route;
use crate::sink::leases::{event, lease, leases};

fn options(command: &[&str]) -> ExecOptions {
    ExecOptions {
        command: command.iter().map(|&part| part.to_owned()).collect(),
        env: vec![("PASSED_ON".to_owned(), "yes".to_owned())],
        home: "/nonexistent".into(),
        directory: None,
        timeout: Duration::from_secs(20),
        kill_after: Duration::from_secs(5),
        retry_exit_codes: vec![75],
        once: false,
        capture: 4 << 20,
    }
}

fn sink(options: ExecOptions) -> ExecSink {
    ExecSink::new(options, Arc::new(SystemClock))
}

fn python(code: &str) -> ExecOptions {
    options(&["/usr/bin/python3", "-S", "-c", code])
}

async fn run(options: ExecOptions, lease: Lease) -> Result<Taken, SinkError> {
    sink(options).deliver(&[lease]).await.remove(0)
}

fn answer_of(result: Result<Taken, SinkError>) -> String {
    let report = result.unwrap().report.unwrap();
    assert!(report.keep);
    report.answer.unwrap_or_default()
}

fn variables(printed: &str) -> BTreeMap<String, String> {
    let pairs = printed.split('\0').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap());
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Whether a process lives: neither gone nor a zombie.
fn lives(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit(") ").next().unwrap();
        !state.starts_with(['Z', 'X'])
    })
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What breaks programs, and one text that is longer than most expect.
fn naughty() -> Vec<String> {
    let strings = include_str!("../../../tests/naughty.json");
    let mut strings: Vec<String> = serde_json::from_str(strings).unwrap();
    strings.push("long é".repeat(5000));
    strings
}

fn push_of(text: &str) -> String {
    serde_json::json!({"event_type": "i_custom", "incident": {
        "title": text, "incident_severity": text, "incident_status": text, "progress": text,
        "channel_id": 1_552_048_792_504_i64, "channel_name": text, "detail_url": text,
        "labels": {"k": text},
    }, "person": {"person_id": 7, "person_name": text, "email": text}})
    .to_string()
}

#[tokio::test]
async fn five_hundred_naughty_strings_arrive_as_data_in_every_field() {
    let print = "import os,sys; sys.stdout.buffer.write(b'\\0'.join(k+b'='+v for k,v in \
                 os.environb.items())+b'\\0STDIN='+sys.stdin.buffer.read()+b'\\0')";
    let texts = naughty();
    assert!(texts.len() >= 500);
    let events = texts.iter().map(|text| event(push_of(text))).collect();
    let leases = leases(events).await;
    for (text, lease) in texts.iter().zip(leases) {
        let push = String::from_utf8(lease.event.body.to_vec()).unwrap();
        let there = variables(&answer_of(run(python(print), lease).await));
        assert_eq!(there["STDIN"], push);
        let blank = text.trim().is_empty() || text.contains("{{");
        for name in [
            "TITLE",
            "SEVERITY",
            "STATUS",
            "PROGRESS",
            "CHANNEL_NAME",
            "DETAIL_URL",
        ] {
            let value = there.get(&format!("FLASHDUTY_{name}"));
            match value {
                Some(value) => assert_eq!(*value, text.replace('\0', "\u{fffd}")),
                None => assert!(blank, "{name} of {text:?}"),
            }
        }
        if !blank {
            let read =
                |name: &str| -> serde_json::Value { serde_json::from_str(&there[name]).unwrap() };
            assert_eq!(read("FLASHDUTY_LABELS")["k"], *text);
            assert_eq!(read("FLASHDUTY_PERSON")["name"], *text);
            assert_eq!(
                there["FLASHDUTY_PERSON_EMAIL"],
                text.replace('\0', "\u{fffd}")
            );
        }
    }
}

#[tokio::test]
async fn the_environment_holds_what_is_documented_and_nothing_of_the_receivers_own() {
    assert!(
        std::env::vars_os().any(|(name, _)| name == "CARGO_MANIFEST_DIR"),
        "the canary"
    );
    let mut event = event(push_of("disk"));
    event.route = Route {
        tag: Some("ops".into()),
        query: Some("team=a".into()),
    };
    let mut lease = leases(vec![event]).await.remove(0);
    (lease.attempt, lease.replay) = (3, true);
    let there = variables(&answer_of(run(options(&["env", "-0"]), lease).await));
    let mut names: Vec<&str> = there
        .keys()
        .map(|name| name.trim_start_matches("FLASHDUTY_"))
        .collect();
    names.sort_unstable();
    assert_eq!(
        names.join(" "),
        "ATTEMPT CHANNEL_ID CHANNEL_NAME DETAIL_URL EVENT_ID EVENT_TIME EVENT_TYPE HOME LABELS LANG \
         PASSED_ON PATH PERSON PERSON_EMAIL PERSON_ID PERSON_NAME PROGRESS QUERY REDELIVERED REPLAY \
         SEVERITY STALE STATUS SUBJECT TAG TITLE"
    );
    for (name, value) in [
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("LANG", "C.UTF-8"),
        ("FLASHDUTY_ATTEMPT", "3"),
        ("FLASHDUTY_REDELIVERED", "true"),
        ("FLASHDUTY_REPLAY", "true"),
        ("FLASHDUTY_STALE", "false"),
        ("FLASHDUTY_CHANNEL_ID", "1552048792504"),
        ("FLASHDUTY_SUBJECT", "incident:664af0001122334455667788"),
    ] {
        assert_eq!(there[name], value, "{name}");
    }
}

#[tokio::test]
async fn values_beyond_what_the_system_takes_are_shortened_instead_of_lost() {
    let push = push_of(&"é".repeat(400_000));
    let there = variables(&answer_of(
        run(options(&["env", "-0"]), lease(push).await).await,
    ));
    let title = &there["FLASHDUTY_TITLE"];
    assert!(
        (1000..=environment::LONGEST).contains(&title.len()),
        "{}",
        title.len()
    );
    assert!(title.chars().all(|at| at == 'é'));
    assert_eq!(there["FLASHDUTY_LABELS"], "{}");
}

#[tokio::test]
async fn exit_codes_decide() {
    let exit = |code: &str| {
        python(&format!(
            "import sys; sys.stderr.write('why\\nmore'); {code}"
        ))
    };
    let ended = run(exit("sys.exit(75)"), lease("{}").await).await;
    assert!(matches!(ended, Err(SinkError::Retry(_))), "{ended:?}");
    let Err(SinkError::Refused(failure)) = run(exit("sys.exit(3)"), lease("{}").await).await else {
        panic!("status 3 is dead");
    };
    assert_eq!(failure.reason, "exited with status 3: why");
    assert_eq!(failure.report.unwrap().status, Some(3));
    let killed = run(
        exit("import os; sys.stderr.flush(); os.kill(os.getpid(), 9)"),
        lease("{}").await,
    )
    .await;
    assert_eq!(
        killed.unwrap_err().to_string(),
        "was ended by signal 9: why"
    );
    for command in ["/nonexistent/x", "/etc/passwd"] {
        let ended = run(options(&[command]), lease("{}").await).await;
        assert!(matches!(ended, Err(SinkError::Refused(_))), "{ended:?}");
    }
}

#[tokio::test]
async fn neither_a_flood_nor_a_push_that_is_never_read_holds_a_command_up() {
    let push = format!("{{\"x\":\"{}\"}}", "y".repeat(4 << 20));
    let mut flood =
        python("import os\nfor _ in range(64): os.write(1, b'o'*65536); os.write(2, b'e'*65536)");
    flood.capture = 10;
    let answer = answer_of(run(flood, lease(push.clone()).await).await);
    assert!(answer.starts_with("oooooooooo\n(4194294 more"), "{answer}");
    let echoed = answer_of(
        run(
            ExecOptions {
                capture: 8 << 20,
                ..options(&["cat"])
            },
            lease(push.clone()).await,
        )
        .await,
    );
    assert_eq!(echoed, push);
    assert_eq!(
        answer_of(run(options(&["true"]), lease(push).await).await),
        ""
    );
}

#[tokio::test]
async fn a_group_that_ignores_term_is_gone_after_the_timeout() {
    let code = "import os,signal,time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.fork()\n\
                os.write(1, b'%d\\n' % os.getpid())\ntime.sleep(600)";
    let mut stubborn = python(code);
    (stubborn.timeout, stubborn.kill_after) = (Duration::from_secs(3), Duration::from_millis(200));
    let Err(SinkError::Unknown(failure)) = run(stubborn, lease("{}").await).await else {
        panic!("its end is unknown");
    };
    assert!(
        failure.reason.starts_with("no end within 3s"),
        "{}",
        failure.reason
    );
    let answer = failure.report.unwrap().answer.unwrap();
    assert_eq!(answer.lines().count(), 2);
    for pid in answer.lines() {
        eventually("the group is gone", || !lives(pid)).await;
    }
}

#[tokio::test]
async fn what_a_leader_leaves_behind_is_ended_and_who_left_the_group_is_not_waited_for() {
    for (leave, survives) in [("", false), ("os.setsid()", true)] {
        let code = format!(
            "import os,time\nr,w=os.pipe()\nif os.fork(): os.read(r,1); os._exit(0)\n{leave}\n\
             os.write(1, b'%d' % os.getpid()); os.write(w, b'x'); time.sleep(600)"
        );
        let begun = Instant::now();
        let pid = answer_of(run(python(&code), lease("{}").await).await);
        assert!(begun.elapsed() < Duration::from_secs(10));
        if survives {
            assert!(lives(&pid));
            let stray = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
            rustix::process::kill_process(stray, rustix::process::Signal::KILL).unwrap();
        }
        eventually("it is gone", || !lives(&pid)).await;
    }
}

#[tokio::test]
async fn a_command_nobody_waits_for_any_more_is_ended_with_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pids");
    let code = format!(
        "import os,time\nos.fork()\nopen({path:?},'a').write('%d\\n'%os.getpid())\ntime.sleep(600)"
    );
    let (sink, lease) = (sink(python(&code)), lease("{}").await);
    let pids = || std::fs::read_to_string(&path).unwrap_or_default();
    tokio::select! {
        _ = sink.deliver(std::slice::from_ref(&lease)) => panic!("it sleeps"),
        () = eventually("both run", || pids().lines().count() == 2) => {}
    }
    for pid in pids().lines() {
        eventually("the group is gone", || !lives(pid)).await;
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<(String, String)>>);

#[async_trait]
impl Commenter for Heard {
    async fn comment(&self, incident: &str, text: &str) -> Result<(), String> {
        self.0
            .lock()
            .unwrap()
            .push((incident.to_owned(), text.to_owned()));
        Err("the API is away".to_owned())
    }
}

#[tokio::test]
async fn what_came_of_it_is_written_to_incidents_only_and_changes_nothing() {
    let heard = Arc::new(Heard::default());
    let commenter: Arc<dyn Commenter> = Arc::<Heard>::clone(&heard);
    let sink = sink(options(&["/bin/cat"])).with_commenter(Some(commenter));
    let mut alert = event("{}");
    alert.subject = Subject::parse("alert:1");
    let mut comment = event("{}");
    comment.event_type = Id::new("i_comm");
    let long = event(format!("\"{}\"", "é".repeat(2000)));
    for result in sink
        .deliver(&leases(vec![alert, comment, event("{}"), long]).await)
        .await
    {
        assert!(result.is_ok());
    }
    let heard = heard.0.lock().unwrap();
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[0].0, "664af0001122334455667788");
    assert_eq!(heard[0].1, "cat: done\n{}");
    assert_eq!(heard[1].1.chars().count(), 1000);
}

#[tokio::test]
async fn what_is_tried_again_for_want_of_an_end_is_not_written_to_its_incident_each_time() {
    for (once, is_command, comments) in [(false, false, 0), (true, false, 1), (false, true, 1)] {
        let heard = Arc::new(Heard::default());
        let commenter: Arc<dyn Commenter> = Arc::<Heard>::clone(&heard);
        let sleeping = ExecOptions {
            timeout: Duration::from_millis(50),
            once,
            ..options(&["/bin/sleep", "60"])
        };
        let sink = sink(sleeping).with_commenter(Some(commenter));
        let mut late = event("{}");
        late.command = is_command;
        let results = sink.deliver(&leases(vec![late]).await).await;
        assert!(matches!(results[0], Err(SinkError::Unknown(_))));
        assert_eq!(heard.0.lock().unwrap().len(), comments);
    }
}
