//! Recovery: whether the sender's API answers, takes the key and lets it read the history.

use secrecy::SecretString;

use super::report::Check;
use super::{PATIENCE, names};
use crate::clock::Clock;
use crate::config::Settings;
use crate::flashduty::{Api, Fault, Patience};
use crate::recover;

/// Asks for one record of the last minute.
pub(super) async fn check(settings: &Settings, key: SecretString, clock: &dyn Clock) -> Check {
    let mut check = Check::new("recovery");
    let base = &settings.flashduty.base_url;
    let patience = Patience {
        silence: PATIENCE,
        whole: PATIENCE,
    };
    let api = match Api::new(base, key, patience) {
        Ok(api) => api,
        Err(error) => {
            check.misuse(format!("flashduty.base_url: {error}"), "correct it");
            return check;
        }
    };
    let integrations = &settings.recover.integrations;
    let (answer, there) = recover::greet(&api, integrations, clock.now()).await;
    let host = names::host(base).unwrap_or_default();
    if let Some(there) = there {
        let whose = format!("{host} (flashduty.base_url)");
        check.read_clock(whose, there, clock.now());
    }
    match answer {
        Ok(()) => check.tell(format!("{host} takes the key")),
        Err(fault) => blame(&mut check, &fault, &host),
    }
    check
}

fn blame(check: &mut Check, fault: &Fault, host: &str) {
    match fault {
        Fault::Refused { .. } => check.fail(
            format!("{host} refuses flashduty.app_key: {fault}"),
            "put a key into flashduty.app_key whose permissions include Integrations Read; \
             without it nothing is recovered",
        ),
        Fault::Throttled { .. } => check.warn(
            format!("{host} is asked too often: {fault}"),
            "lower recover.rate, or find out who else asks it with this account",
        ),
        Fault::Invalid(_) => check.fail(
            format!("{host} does not understand what it is asked: {fault}"),
            "correct flashduty.base_url and recover.integrations",
        ),
        Fault::Transient(_) | Fault::Strange(_) | Fault::TooLarge(_) => check.fail(
            format!("{host} gives no answer that is of use: {fault}"),
            "correct flashduty.base_url, or see what keeps this machine from it; nothing is \
             recovered meanwhile",
        ),
    }
}
