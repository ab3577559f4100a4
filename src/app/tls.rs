//! The certificates in force, and how renewed ones take their place: connections that are open go on
//! with what they began with.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::config::{Identities, certificate_warning};
use crate::lifecycle::Lifecycle;
use crate::listener::tls::{Identity, Tls};
use crate::metrics::Metrics;

/// How often people are reminded of a certificate that expires soon.
const REMIND_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the listeners show.
pub(super) struct Certificates {
    server: Option<Tls>,
    admin: Option<Tls>,
    clock: Arc<dyn Clock>,
}

impl Certificates {
    pub(super) fn new(read: &Identities, metrics: &Metrics, clock: Arc<dyn Clock>) -> Arc<Self> {
        let begin = |identity: &Option<Arc<Identity>>, section: &'static str| {
            let identity = identity.as_ref()?;
            let tls = Tls {
                identity: Arc::new(ArcSwap::new(Arc::clone(identity))),
                metrics: metrics.tls.of(section),
                section,
            };
            tell(&tls, "speaks TLS with");
            Some(tls)
        };
        let certificates = Self {
            server: begin(&read.server, "server"),
            admin: begin(&read.admin, "admin"),
            clock,
        };
        certificates.warn();
        Arc::new(certificates)
    }

    /// What the public listener speaks TLS with.
    pub(super) fn of_server(&self) -> Option<Tls> {
        self.server.clone()
    }

    /// The same of the admin listener.
    pub(super) fn of_admin(&self) -> Option<Tls> {
        self.admin.clone()
    }

    /// Takes over what was read anew. Where the files say what they said, sessions can go on being
    /// resumed.
    pub(super) fn apply(&self, read: &Identities) {
        let mut renewed = false;
        for (tls, read) in [(&self.server, &read.server), (&self.admin, &read.admin)] {
            let (Some(tls), Some(read)) = (tls, read) else {
                continue;
            };
            if !read.is_same(&tls.identity.load()) {
                tls.identity.store(Arc::clone(read));
                tell(tls, "now speaks TLS with");
                renewed = true;
            }
        }
        if renewed {
            self.warn();
        }
    }

    /// Reminds people each day of what expires soon.
    pub(super) async fn remind(self: Arc<Self>, lifecycle: Lifecycle) {
        let until_closing = lifecycle.closing_token();
        while until_closing
            .run_until_cancelled(tokio::time::sleep(REMIND_EVERY))
            .await
            .is_some()
        {
            self.warn();
        }
    }

    fn warn(&self) {
        let now = self.clock.now();
        for tls in [&self.server, &self.admin].into_iter().flatten() {
            if let Some(what) = certificate_warning(tls.identity.load().certificate(), now) {
                tracing::warn!("{}.tls.cert {what}", tls.section);
            }
        }
    }
}

/// Says and shows what is in force now.
fn tell(tls: &Tls, does: &str) {
    let identity = tls.identity.load();
    let certificate = identity.certificate();
    let not_after = certificate.not_after.as_duration().as_secs_f64();
    tls.metrics.not_after.set(not_after);
    tracing::info!(
        certificate = certificate.name,
        not_after = %certificate.not_after,
        "{}.listen {does} the certificate of {}.tls.cert",
        tls.section,
        tls.section,
    );
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::listener::tls::Pem;

    struct Still(Timestamp);

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            self.0
        }
    }

    fn identity(name: &str) -> Arc<Identity> {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let identity = Identity::new(Pem {
            cert: &made.cert.pem(),
            key: &made.signing_key.serialize_pem(),
            client_ca: None,
        });
        Arc::new(identity.unwrap())
    }

    #[test]
    fn a_renewed_certificate_takes_the_place_of_the_one_before_and_the_same_one_does_not() {
        let metrics = Metrics::new();
        let clock = Arc::new(Still(Timestamp::UNIX_EPOCH));
        let first = Identities {
            server: Some(identity("first")),
            admin: None,
        };
        let certificates = Certificates::new(&first, &metrics, clock);
        assert!(certificates.of_admin().is_none());
        let shown = || certificates.of_server().unwrap().identity.load_full();
        let begun = shown();
        certificates.apply(&first);
        assert!(Arc::ptr_eq(&begun, &shown()));
        let second = Identities {
            server: Some(identity("second")),
            admin: Some(identity("of no use until a restart")),
        };
        certificates.apply(&second);
        assert!(shown().is_same(second.server.as_ref().unwrap()));
        assert!(certificates.of_admin().is_none());
        certificates.apply(&Identities::default());
        assert!(shown().is_same(second.server.as_ref().unwrap()), "kept");
    }

    #[test]
    fn each_listener_has_its_own() {
        let both = |server, admin| Identities {
            server: Some(identity(server)),
            admin: Some(identity(admin)),
        };
        let clock = Arc::new(Still(Timestamp::UNIX_EPOCH));
        let first = both("server", "admin");
        let certificates = Certificates::new(&first, &Metrics::new(), clock);
        let renewed = Identities {
            server: first.server.clone(),
            admin: Some(identity("renewed")),
        };
        certificates.apply(&renewed);
        for (tls, wanted) in [
            (certificates.of_server(), &first.server),
            (certificates.of_admin(), &renewed.admin),
        ] {
            let shown = tls.unwrap().identity.load_full();
            assert!(shown.is_same(wanted.as_ref().unwrap()));
        }
    }
}
