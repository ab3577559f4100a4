//! The two ports: free, or held by a receiver that is ready.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::HOST;
use http_body_util::Full;
use serde::Deserialize;

use super::report::{Check, parted};
use crate::cli::access::within_reach;
use crate::cli::request::{self, Reply};
use crate::cli::target::Target;
use crate::config::{ProxyProtocol, Settings};
use crate::listener::{ListenError, try_bind};

/// A receiver answers probes at once.
const PROBE: Duration = Duration::from_secs(2);

/// Looks at both addresses.
pub(super) async fn check(settings: &Settings) -> Check {
    let mut check = Check::new("listeners");
    // What does not begin with a PROXY header would be complained of in the receiver's log.
    let answers = settings.source.proxy_protocol == ProxyProtocol::Off;
    let (public, admin) = (settings.server.listen, settings.admin.listen);
    let public = look(&mut check, ("server.listen", public), answers).await;
    let admin = look(&mut check, ("admin.listen", admin), true).await;
    let told: Vec<String> = [public, admin].into_iter().flatten().collect();
    check.tell(told.join("; "));
    check
}

/// What there is to say of one that is all right.
async fn look(
    check: &mut Check,
    (key, address): (&str, SocketAddr),
    answers: bool,
) -> Option<String> {
    if address.port() == 0 {
        return Some(format!("{key} takes any port that is free"));
    }
    match try_bind(address) {
        Ok(()) => return Some(format!("{address} is free")),
        Err(ListenError::InUse(..)) if answers => {}
        Err(ListenError::InUse(..)) => {
            return Some(format!("{address} is taken, and wants the PROXY protocol"));
        }
        Err(error) => {
            let (what, advice) = parted(&error.to_string(), "choose another address");
            check.fail(format!("{key}: {what}"), advice);
            return None;
        }
    }
    match probe(address).await {
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

async fn probe(address: SocketAddr) -> Holder {
    judge(ask(address, "/readyz").await)
}

/// The answer of who listens at `address`, if there is one.
pub(super) async fn ask(address: SocketAddr, path: &str) -> Option<Reply> {
    let address = within_reach(address).to_string();
    let target = Target {
        authority: address.clone(),
        address,
        path: path.to_owned(),
    };
    let request = Request::get(&target.path)
        .header(HOST, &target.authority)
        .body(Full::<Bytes>::default());
    request::send(&target, request.ok()?, PROBE).await.ok()
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
