//! Who may push: from the connection and its headers to the client's address, and from there,
//! with the secret, to a decision.
//!
//! All of it is pure: no I/O, no clock, no configuration lookup; and for a push that is let in,
//! no allocation. Addresses are canonical wherever they are compared: `::ffff:a.b.c.d` is the IPv4
//! address `a.b.c.d`.

pub mod denial;
pub mod networks;
pub mod options;
pub mod proxy;
mod forwarding;
mod narration;
mod secrets;
#[cfg(test)]
mod tests;
mod walk;

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};

use self::denial::Denial;
use self::narration::{Narrator, Observer, Silent, Step};
use self::networks::Networks;
use self::secrets::{Mismatch, Secrets};
use self::walk::{Client, Found, TrustWalk};

pub use self::denial::Reason;
pub use self::networks::{NetworkError, parse_allow, parse_trusted, private_ranges};
pub use self::options::{ClientIpHeader, Enforce, PUBLISHED, SourceOptions, SourceOptionsError};

/// The most of a forwarding header that [`SourceRules::forwarding_excerpt`] gives, in bytes.
pub const EXCERPT_BYTES: usize = 256;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The socket's remote address.
    pub socket: IpAddr,
    /// The source a PROXY header named; `None` when it named none (`LOCAL`, `UNKNOWN`), or when
    /// the protocol is off.
    pub proxied: Option<IpAddr>,
}

impl Peer {
    /// Makes both addresses canonical.
    pub fn new(socket: IpAddr, proxied: Option<IpAddr>) -> Self {
        Self {
            socket: socket.to_canonical(),
            proxied: proxied.map(|address| address.to_canonical()),
        }
    }
}

/// What may be said of a connection before its first request, for the cap on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// An allowed address, or a proxy that may speak for one.
    MayPush,
    /// Nothing it could send would be accepted.
    Stranger,
}

/// What became of a push at the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The address that was judged; `None` when none could be made out.
    pub client: Option<IpAddr>,
    /// Whether it may push.
    pub decision: Decision,
}

/// Whether a request may push. The address is judged before the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Let in.
    Allowed {
        /// Its secret alone let it in (`enforce = "secret"`): the address is not on the list, or
        /// could not be made out. Worth a warning.
        unlisted: bool,
    },
    /// Refused for its address.
    Denied {
        /// For the log.
        reason: Reason,
        /// What happened and what to change, as a sentence fragment; may quote up to 48 bytes of
        /// the forwarding header, escaped.
        hint: String,
        /// A secret is asked for and was right, so the sender may have moved.
        secret_right: bool,
    },
    /// The address is good, the secret is not.
    Unauthorized {
        /// The first header that is missing, wrong, or there more than once.
        header: HeaderName,
        /// It is not there at all.
        missing: bool,
    },
}

/// The checked `[source]` section.
#[derive(Debug)]
pub struct SourceRules {
    allow: Networks,
    enforce: Enforce,
    walk: TrustWalk,
    secrets: Secrets,
    warnings: Vec<String>,
}

impl SourceRules {
    /// Refuses options that contradict themselves or let everybody in.
    pub fn new(options: SourceOptions) -> Result<Self, SourceOptionsError> {
        options.check()?;
        Ok(Self {
            secrets: Secrets::new(&options.secrets()),
            warnings: options.warnings(),
            allow: Networks::new(options.allow),
            enforce: options.enforce,
            walk: TrustWalk {
                trusted: Networks::new(options.trusted_proxies),
                header: options.client_ip_header,
                proxy_protocol: options.proxy_protocol,
            },
        })
    }

    /// What works but is probably not meant, one sentence each; for the log at each start.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    /// Whether a connection from `peer` could ever push.
    pub fn standing(&self, peer: &Peer) -> Standing {
        if self.walk.proxy_protocol && !self.trusts(peer.socket) {
            return Standing::Stranger;
        }
        let start = match peer.proxied {
            Some(proxied) if self.walk.proxy_protocol => proxied,
            // A proxy that names nobody speaks for itself: it is the balancer that probes.
            _ if self.trusts(peer.socket) => return Standing::MayPush,
            _ => peer.socket,
        };
        let listed = self.enforce == Enforce::Secret || self.allow.contains(start);
        let speaks_for_others = self.trusts(start) && self.walk.header.header().is_some();
        if listed || speaks_for_others {
            Standing::MayPush
        } else {
            Standing::Stranger
        }
    }

    /// Whether `address` is a trusted proxy.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.walk.trusted.contains(address.to_canonical())
    }

    /// Decides. Cheap: a look over short lists, and a digest for each secret header.
    pub fn judge(&self, peer: &Peer, headers: &HeaderMap) -> Judgement {
        self.decide(peer, headers, &mut Silent)
    }

    /// Every step of [`SourceRules::judge`], one sentence each, the decision last. Shows no secret.
    pub fn explain(&self, peer: &Peer, headers: &HeaderMap) -> Vec<String> {
        let mut narrator = Narrator::default();
        let judgement = self.decide(peer, headers, &mut narrator);
        let mut sentences = narrator.sentences;
        sentences.push(match judgement.decision {
            Decision::Allowed { unlisted: false } => "allowed".to_owned(),
            Decision::Allowed { unlisted: true } => {
                "allowed for its secret, with a warning about its address".to_owned()
            }
            Decision::Denied { reason, hint, .. } => format!("denied ({reason}): {hint}"),
            Decision::Unauthorized {
                header,
                missing: true,
            } => {
                format!("unauthorized: {header} is missing")
            }
            Decision::Unauthorized {
                header,
                missing: false,
            } => {
                format!("unauthorized: {header} is wrong")
            }
        });
        sentences
    }

    /// The end of the configured forwarding header, the side that proxies write: at most
    /// [`EXCERPT_BYTES`] of it, instances joined by commas, bytes outside of ASCII escaped.
    pub fn forwarding_excerpt(&self, headers: &HeaderMap) -> Option<String> {
        let instances = headers.get_all(self.walk.header.header()?);
        let mut joined = String::new();
        for instance in instances.iter().rev() {
            let separator = if joined.is_empty() { "" } else { ", " };
            let bytes = instance.as_bytes();
            let tail = &bytes[bytes.len().saturating_sub(EXCERPT_BYTES)..];
            joined = format!("{}{separator}{joined}", tail.escape_ascii());
            if joined.len() >= EXCERPT_BYTES {
                return Some(joined.split_off(joined.len() - EXCERPT_BYTES));
            }
        }
        (!joined.is_empty()).then_some(joined)
    }

    fn decide(&self, peer: &Peer, headers: &HeaderMap, observer: &mut impl Observer) -> Judgement {
        let walked = self.walk.run(peer, headers, observer);
        let listed = match &walked {
            Ok(client) => self.lists(client.address, observer),
            Err(denial) => {
                if self.enforce == Enforce::Secret {
                    observer.step(Step::NoClient { denial });
                }
                false
            }
        };
        let secret = self.check_secret(headers, observer);
        let secret_right = secret.is_ok() && !self.secrets.is_empty();
        let client = walked.as_ref().ok().map(|client| client.address);
        let decision = match (self.denial(walked, listed, headers, secret_right), secret) {
            (Some(denial), _) => Decision::Denied {
                reason: denial.reason(),
                hint: denial.to_string(),
                secret_right,
            },
            (None, Ok(())) => Decision::Allowed { unlisted: !listed },
            (None, Err(mismatch)) => Decision::Unauthorized {
                header: mismatch.header.clone(),
                missing: mismatch.missing,
            },
        };
        Judgement { client, decision }
    }

    /// Whether the address refuses the push, and why.
    fn denial<'h>(
        &self,
        walked: Result<Client, Denial<'h>>,
        listed: bool,
        headers: &HeaderMap,
        secret_right: bool,
    ) -> Option<Denial<'h>> {
        match (walked, self.enforce) {
            // Such a connection does not get as far as having an address to warn of.
            (Err(denial @ Denial::ProxyNotTrusted { .. }), _) => Some(denial),
            (_, Enforce::Secret) => None,
            (Err(denial), Enforce::Address) => Some(denial),
            (Ok(_), Enforce::Address) if listed => None,
            (Ok(client), Enforce::Address) => Some(self.unlisted(client, headers, secret_right)),
        }
    }

    fn lists(&self, client: IpAddr, observer: &mut impl Observer) -> bool {
        let block = self.allow.find(client);
        observer.step(match block {
            Some(block) => Step::Allowed { client, block },
            None => Step::NotAllowed { client },
        });
        block.is_some()
    }

    fn check_secret(
        &self,
        headers: &HeaderMap,
        observer: &mut impl Observer,
    ) -> Result<(), Mismatch<'_>> {
        if self.secrets.is_empty() {
            observer.step(Step::NoSecrets);
        }
        self.secrets.check(headers, observer)
    }

    /// Why a client that is not on the list got that far, as well as can be told.
    fn unlisted(&self, client: Client, headers: &HeaderMap, secret_right: bool) -> Denial<'static> {
        let Client { address, found } = client;
        let proxy = address;
        match (found, self.walk.header.header()) {
            (Found::Local, _) => Denial::ProxyItself { proxy, local: true },
            (Found::NoHeader, _) => Denial::ProxyItself {
                proxy,
                local: false,
            },
            (Found::Direct, Some(header)) if headers.contains_key(header) => {
                let peer = address;
                Denial::SenderNotTrusted { peer, header }
            }
            (Found::Direct | Found::Header, _) => Denial::NotListed {
                client: address,
                direct: found == Found::Direct,
                secret_right,
            },
        }
    }
}
