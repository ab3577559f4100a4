//! Who may push: what the lists say, and what a receiver that runs has made of them so far.

use super::listeners::Door;
use super::report::Check;
use crate::cli::printer::counted;
use crate::config::{Loaded, Settings};
use crate::source::Enforce;

/// Pushes since the start of the receiver, by what became of them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pushes {
    /// Let in, whatever came of them then.
    taken: u64,
    /// Not from an address that may push.
    denied: u64,
    /// From such an address, without the secret.
    unauthorized: u64,
}

/// Says what the lists say, and asks a receiver that listens at `admin.listen` how it went.
pub(super) async fn check(loaded: &Loaded) -> Check {
    let mut check = Check::new("source");
    check.tell(told(&loaded.settings));
    let admin = Door::admin(loaded);
    if admin.listen.port() != 0
        && let Some(reply) = admin.ask("/metrics").await
    {
        judge(
            &mut check,
            &Pushes::read(&String::from_utf8_lossy(&reply.body)),
        );
    }
    check
}

fn told(settings: &Settings) -> String {
    let source = &settings.source;
    let places = |count: usize| {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        counted(count, "address or block", "addresses or blocks")
    };
    let allowed = places(source.allow.len());
    let allowed = match source.enforce {
        Enforce::Address => format!("{allowed} may push"),
        Enforce::Secret => format!("who has the secret may push; {allowed} are expected"),
    };
    let proxies = source.trusted_proxies.len();
    match source.client_ip_header.header() {
        Some(header) if proxies > 0 => {
            format!("{allowed}; {header} is believed of {}", places(proxies))
        }
        _ => format!("{allowed}; no forwarding header is believed"),
    }
}

impl Pushes {
    /// Reads the receiver's metrics.
    fn read(metrics: &str) -> Self {
        let count = |outcome: &str| {
            let name = format!("flashduty_pushes_total{{outcome=\"{outcome}\"}} ");
            let mut lines = metrics.lines();
            let found =
                lines.find_map(|line| line.strip_prefix(&*name)?.trim().parse::<u64>().ok());
            found.unwrap_or(0)
        };
        Self {
            taken: count("accepted") + count("duplicate") + count("stale"),
            denied: count("denied"),
            unauthorized: count("unauthorized"),
        }
    }
}

/// Strangers are denied all the time; that nobody was ever let in is another matter.
fn judge(check: &mut Check, pushes: &Pushes) {
    let Pushes {
        taken: 0,
        denied,
        unauthorized,
    } = *pushes
    else {
        return;
    };
    if denied > 0 {
        check.warn(
            format!(
                "no push was let in since the start, and {denied} were denied for their address"
            ),
            "read the hint in the log lines with outcome denied: mostly source.trusted_proxies \
             lacks the proxy or balancer in front",
        );
    }
    if unauthorized > 0 {
        check.warn(
            format!("no push was let in since the start, and {unauthorized} lacked the secret"),
            "compare the header that Flashduty sends with source.token and source.token_header",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_nobody_was_let_in_is_said_and_strangers_are_not() {
        let metrics = |taken: u64, denied: u64, unauthorized: u64| {
            format!(
                "# TYPE flashduty_pushes counter\nflashduty_pushes_total{{outcome=\"accepted\"}} \
                 {taken}\nflashduty_pushes_total{{outcome=\"denied\"}} \
                 {denied}\nflashduty_pushes_total{{outcome=\"unauthorized\"}} {unauthorized}\n"
            )
        };
        let said = |metrics: &str| {
            let mut check = Check::new("source");
            judge(&mut check, &Pushes::read(metrics));
            let found = check.found();
            found
                .iter()
                .map(|(_, what, _)| (*what).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(said("another program's"), Vec::<String>::new());
        assert_eq!(said(&metrics(1, 9, 9)), Vec::<String>::new());
        assert_eq!(said(&metrics(0, 0, 0)), Vec::<String>::new());
        let both = said(&metrics(0, 7, 2));
        let begin = "no push was let in since the start, and";
        assert_eq!(
            both,
            [
                format!("{begin} 7 were denied for their address"),
                format!("{begin} 2 lacked the secret"),
            ]
        );
    }

    #[test]
    fn the_lists_are_counted() {
        let mut settings = Settings::default();
        let said = told(&settings);
        assert_eq!(
            said,
            "4 addresses or blocks may push; no forwarding header is believed"
        );
        settings.source.trusted_proxies = settings.source.allow.split_off(3);
        let said = told(&settings);
        assert_eq!(
            said,
            "3 addresses or blocks may push; X-Forwarded-For is believed of 1 address or block"
        );
    }
}
