//! Configurations that are read again while the database is away.

use serde_json::Value;

use crate::alone;
use crate::away::{ids, push, server_that_is_down, spilled, wait_until_drained};
use crate::fake::{FakeServer, Reply};
use crate::fleet::{Fleet, Pusher, Setup, event};
use crate::postgres::Postgres;

#[test]
fn what_is_reloaded_before_the_first_contact_decides_who_gets_what_came_before_it() {
    let _alone = alone();
    let mut server = server_that_is_down();
    let fleet = Fleet::start(1, &Setup::of(server.address()));
    let fakes = ["hook", "later"].map(|_| FakeServer::new(|_, _| Reply::new(200, "")));
    fleet.each(|receiver| {
        spilled(receiver, "before", "s");
        let base = std::fs::read_to_string(receiver.folder.join("config.toml")).unwrap();
        let hook = fakes[0].sink("hook", "");
        let wrong = receiver.reconfigure(&format!("{base}{hook}nonsense = 1\n"));
        assert_ne!(wrong.status, 200, "{wrong:?}");
        let right = receiver.reconfigure(&format!("{base}{hook}"));
        assert_eq!(right.status, 200, "{right:?}");
        spilled(receiver, "after", "s");
        server.start_again();
        let received = fakes[0].wait_for(2);
        assert_eq!(ids(&received), ["before", "after"]);
        wait_until_drained(receiver);
        // One that comes after the contact has its number at once.
        let later = fakes[1].sink("later", "");
        let right = receiver.reconfigure(&format!("{base}{hook}{later}"));
        assert_eq!(right.status, 200, "{right:?}");
        push(receiver, "last", "s");
        fakes[0].wait_for(3);
        assert_eq!(ids(&fakes[1].wait_for(1)), ["last"]);
    });
    fleet.stop(0);
}

fn says(line: &Value, what: &str) -> bool {
    line["message"]
        .as_str()
        .is_some_and(|message| message.contains(what))
}

#[test]
fn while_the_database_is_away_a_reload_applies_and_a_new_sink_begins_when_it_is_back() {
    let _alone = alone();
    let mut server = Postgres::start();
    let fleet = Fleet::start(1, &Setup::of(server.address()));
    let fake = FakeServer::new(|_, _| Reply::new(200, ""));
    fleet.each(|receiver| {
        assert_eq!(push(receiver, "before", "s").outcome(), "accepted");
        let base = std::fs::read_to_string(receiver.folder.join("config.toml")).unwrap();
        let with_secret = base.replace(
            "[source]\n",
            "[source]\ntoken = \"another-secret-of-pushes\"\n",
        );
        server.stop();
        let applied = receiver.reconfigure(&with_secret);
        assert_eq!(applied.status, 200, "{applied:?}");
        let refused = Pusher::default().push(receiver.public, &event("no secret", "s"));
        assert_eq!(refused.unwrap().status, 401);
        // The number of a sink is the database's to give.
        let waits = receiver.reconfigure(&format!("{base}{}", fake.sink("later", "")));
        assert_eq!(waits.status, 422, "{waits:?}");
        let detail = waits.json()["detail"].to_string();
        assert!(
            detail.contains("tried again until that answers"),
            "{detail}"
        );
        let applied = |line: &&Value| says(line, "read again and is in force");
        let before = receiver.lines.all().iter().filter(applied).count();
        server.start_again();
        receiver
            .lines
            .wait_until("the configuration to be taken over", |lines| {
                lines.iter().filter(applied).nth(before).map(drop)
            });
        // By who asked, and by who saw the file change.
        let waiting = |line: &&Value| says(line, "cannot be taken over");
        assert!(receiver.lines.all().iter().filter(waiting).count() <= 2);
        push(receiver, "after", "s");
        assert_eq!(ids(&fake.wait_for(1)), ["after"]);
    });
    fleet.stop(0);
}
