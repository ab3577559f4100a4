//! What changes while somebody looks, and what somebody changes: the overview, a dead letter, a
//! session.

use serde_json::{Value, json};

use crate::driver::play;
use crate::receiver::Receiver;
use crate::stage::{self, Stage};

#[test]
fn the_overview_follows_pushes_and_refusals_without_a_reload() {
    let receiver = Receiver::start("");
    let push = |number: usize| {
        let body = format!(
            r#"{{"event_id":"e{number}","event_type":"i_new","incident":{{"incident_id":"s{number}"}}}}"#
        );
        stage::pushed(&receiver, &body);
    };
    play(
        "overview",
        &json!({"base": stage::base(&receiver)}),
        |what, _| {
            if what == "push" {
                (0..23).for_each(push);
                return json!({"pushed": 23});
            }
            for body in ["{", "[]"] {
                assert!([400, 422].contains(&receiver.push(body).status));
            }
            json!({"refused": 2})
        },
    );
}

#[test]
fn a_dead_letter_is_replayed_after_its_dry_run_and_then_delivered() {
    let stage = Stage::set();
    let seq = stage.dead[0].clone();
    let audit = || {
        let rows = stage.receiver.rows("audit");
        rows.iter().filter(|row| row["action"] == "replay").count()
    };
    let with = json!({"base": stage.base(), "seq": seq, "dead": stage.dead.len()});
    play("replay", &with, |what, _| {
        if what == "replayed" {
            // Whoever confirms it next finds the other side mended.
            let told = json!({"state": stage.state(&seq), "audit": audit()});
            stage.mend();
            return told;
        }
        stage.receiver.wait_for_state(&seq, "tickets", "delivered");
        json!({"state": stage.state(&seq), "audit": audit()})
    });
}

#[test]
fn one_logs_in_with_the_token_alone_and_out_again() {
    let token = "corr3ct-horse-battery";
    let (receiver, closed) = (stage::locked(token), stage::closed());
    let with = json!({
        "base": stage::base(&receiver), "token": token, "closed": stage::base_of_closed(&closed),
    });
    let nothing = |_: &str, _: &Value| Value::Null;
    play("login", &with, nothing);
}
