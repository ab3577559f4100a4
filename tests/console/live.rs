//! The live view of events while the receiver is killed and started again, and while it is paused.

use serde_json::{Value, json};

use crate::driver::play;
use crate::http::Client;
use crate::onslaught::{configure, event, push_and_kill};
use crate::receiver::{PATIENCE, Receiver, command, count, soak_line};
use crate::stage;

const PUSHERS: usize = 4;
/// Together more than a page keeps.
const EACH: usize = 513;

#[test]
fn the_live_view_over_kills_of_the_receiver_shows_every_event_once() {
    let (rounds, enough) = (count(2, 10), count(40, 120));
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path());
    let start = || Receiver::run(folder.path(), command(folder.path(), &[]));
    let mut receiver = start();
    stage::pushed(&receiver, &event("first", 0));
    let with = json!({"base": stage::base(&receiver), "rounds": rounds, "last": "the-very-last"});
    let seen = play("live", &with, |what, asked| {
        match what {
            "push_and_kill" => {
                push_and_kill(&mut receiver, &asked["round"], enough);
            }
            "start" => receiver = start(),
            "push_last" => {
                stage::pushed(&receiver, &event("the-very-last", 0));
            }
            _ => {
                let rows = receiver.rows("events");
                let seqs: Vec<&Value> = rows.iter().map(|row| &row["seq"]).collect();
                let one = &rows[rows.len() / 2];
                return json!({"stored": seqs, "id": one["event_id"], "seq": one["seq"]});
            }
        }
        Value::Null
    });
    if let Some(seen) = seen {
        let shown = &seen["shown"];
        soak_line(
            81,
            "the console's live view over kill -9",
            &format!("{rounds} kills, {shown} events shown, none missing, none twice"),
        );
    }
}

/// Pushes more than a page keeps, each until it is acknowledged.
fn push_many(receiver: &Receiver) {
    let address = receiver.public;
    std::thread::scope(|scope| {
        for pusher in 0..PUSHERS {
            scope.spawn(move || {
                let mut client = Client::connect(address, PATIENCE).unwrap();
                for turn in 0..EACH {
                    let event = event(&format!("p{pusher}-{turn}"), turn % 5);
                    let mut push = || client.push("/webhook", event.as_bytes()).unwrap();
                    while push().status != 200 {}
                }
            });
        }
    });
}

#[test]
fn a_list_that_is_paused_holds_back_no_more_than_a_page_keeps_and_says_what_it_left_out() {
    let receiver = Receiver::start("");
    stage::pushed(&receiver, &event("first", 0));
    let with = json!({"base": stage::base(&receiver)});
    play("held", &with, |what, _| {
        if what == "push" {
            push_many(&receiver);
            return json!({"pushed": PUSHERS * EACH});
        }
        let rows = receiver.rows("events");
        let seqs: Vec<&Value> = rows.iter().map(|row| &row["seq"]).collect();
        json!({"stored": seqs})
    });
}
