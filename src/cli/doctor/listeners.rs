//! The two ports: free, or held by a receiver that is ready.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::HOST;
use http_body_util::Full;
use serde::Deserialize;

use super::report::{Check, parted};
use crate::cli::access::{Way, way_to_public, within_reach};
use crate::cli::request::{self, PROBE_BYTES, Reply};
use crate::cli::target::Target;
use crate::cli::tls::TlsArgs;
use crate::config::Loaded;
use crate::listener::tls::Identity;
use crate::listener::{ListenError, try_bind};

/// A receiver answers probes at once.
const PROBE: Duration = Duration::from_secs(2);

/// One of the two ports, and how whoever holds it may be asked.
pub(super) struct Door<'a> {
    key: &'static str,
    pub(super) listen: SocketAddr,
    /// What it shows, where it has TLS.
    identity: Option<&'a Identity>,
    /// What it wants of whoever asks, which a doctor does not have.
    wants: Option<&'static str>,
    /// It wants the PROXY protocol, and takes this machine for a proxy.
    as_proxy: bool,
}

impl<'a> Door<'a> {
    fn public(loaded: &'a Loaded) -> Self {
        let (wants, as_proxy) = match way_to_public(loaded) {
            Ok(Way::Straight) => (None, false),
            Ok(Way::AsProxy) => (None, true),
            // It would be complained of in the receiver's log.
            Ok(Way::Barred(_)) | Err(_) => (Some("the PROXY protocol"), false),
        };
        Self {
            key: "server.listen",
            listen: loaded.settings.server.listen,
            identity: loaded.identities.server.as_deref(),
            wants,
            as_proxy,
        }
    }

    pub(super) fn admin(loaded: &'a Loaded) -> Self {
        let admin = &loaded.settings.admin;
        let wants_certificate = admin.tls.client_ca.is_some();
        Self {
            key: "admin.listen",
            listen: admin.listen,
            identity: loaded.identities.admin.as_deref(),
            wants: wants_certificate.then_some("a certificate of whoever connects"),
            as_proxy: false,
        }
    }

    /// The answer of who listens there, if there is one.
    pub(super) async fn ask(&self, path: &str) -> Option<Reply> {
        if self.wants.is_some() {
            return None;
        }
        let base = within_reach(self.listen, self.identity.is_some());
        let known = TlsArgs::default().known_as(self.identity).ok()?;
        let plain = Target::parse(&base, path, &known).ok()?;
        let target = match self.as_proxy {
            true => plain.asked_by_a_proxy(),
            false => plain,
        };
        let request = Request::get(&target.path)
            .header(HOST, &target.authority)
            .body(Full::<Bytes>::default());
        let bounds = (PROBE, PROBE_BYTES);
        request::send(&target, request.ok()?, bounds).await.ok()
    }
}

/// Looks at both addresses.
pub(super) async fn check(loaded: &Loaded) -> Check {
    let mut check = Check::new("listeners");
    let public = look(&mut check, &Door::public(loaded)).await;
    let admin = look(&mut check, &Door::admin(loaded)).await;
    let told: Vec<String> = [public, admin].into_iter().flatten().collect();
    check.tell(told.join("; "));
    check
}

/// What there is to say of one that is all right.
async fn look(check: &mut Check, door: &Door<'_>) -> Option<String> {
    let (key, address) = (door.key, door.listen);
    if address.port() == 0 {
        return Some(format!("{key} takes any port that is free"));
    }
    match (try_bind(address), door.wants) {
        (Ok(()), _) => return Some(format!("{address} is free")),
        (Err(ListenError::InUse(..)), None) => {}
        (Err(ListenError::InUse(..)), Some(wanted)) => {
            return Some(format!("{address} is taken, and wants {wanted}"));
        }
        (Err(error), _) => {
            let (what, advice) = parted(&error.to_string(), "choose another address");
            check.fail(format!("{key}: {what}"), advice);
            return None;
        }
    }
    match judge(door.ask("/readyz").await) {
        Holder::Ready => Some(format!("{address} is held by a receiver that is ready")),
        Holder::Unready(reason) => {
            check.fail(
                format!("the receiver at {address} ({key}) takes no pushes: {reason}"),
                "look into its log, and at the other findings here",
            );
            None
        }
        Holder::Stranger(what) => {
            let port = address.port();
            check.fail(
                format!("{address} ({key}) is held by a program {what}"),
                format!(
                    "stop it (`ss -ltnp 'sport = :{port}'` names it), or choose another port for \
                     {key}"
                ),
            );
            None
        }
    }
}

/// Who listens.
#[derive(Debug, PartialEq, Eq)]
enum Holder {
    Ready,
    Unready(String),
    Stranger(&'static str),
}

/// What a receiver says to a probe.
#[derive(Deserialize)]
struct Readiness {
    ready: bool,
    #[serde(default)]
    reason: Option<String>,
}

fn judge(reply: Option<Reply>) -> Holder {
    let Some(reply) = reply else {
        return Holder::Stranger("that does not answer as a receiver does");
    };
    match serde_json::from_slice(&reply.body) {
        Ok(Readiness { ready: true, .. }) => Holder::Ready,
        Ok(Readiness { reason, .. }) => {
            Holder::Unready(reason.unwrap_or_else(|| "it does not say why".to_owned()))
        }
        Err(_other_words) => Holder::Stranger("that is no receiver"),
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn a_receiver_is_known_by_its_readiness() {
        let said = |body: &'static str| {
            judge(Some(Reply {
                status: StatusCode::OK,
                body: Bytes::from_static(body.as_bytes()),
            }))
        };
        assert_eq!(said(r#"{"ready":true,"warning":"w"}"#), Holder::Ready);
        let unready = said(r#"{"ready":false,"reason":"the store is full"}"#);
        assert_eq!(unready, Holder::Unready("the store is full".to_owned()));
        for other in ["", "ok", "{}", "[1]"] {
            assert_eq!(said(other), Holder::Stranger("that is no receiver"));
        }
    }
}
