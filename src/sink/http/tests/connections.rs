//! What connections are made, and what it means when they end.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::*;

/// The address of a port on which nothing listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn without_a_connection_there_was_no_effect_and_it_is_tried_again() {
    let failure = retried(deliver(options(&format!("http://{}/x", nobody())), lease()).await);
    let expected =
        "cannot connect to 127.0.0.1: tcp connect error: Connection refused (os error 111)";
    assert_eq!(failure.reason, expected);
    assert!(failure.report.unwrap().began.is_some());
    let failure = retried(deliver(options("http://nobody.invalid/x"), lease()).await);
    assert!(
        failure
            .reason
            .starts_with("cannot connect to nobody.invalid: dns error"),
        "{}",
        failure.reason
    );
    // No TLS on the other side.
    let server = FakeServer::scripted(vec![Reply::new(200, "")]);
    let secure = format!("https://{}/x", server.address);
    retried(deliver(options(&secure), lease()).await);
}

#[tokio::test]
async fn a_request_without_a_whole_answer_may_have_had_an_effect() {
    for reply in [
        Reply::Close,
        Reply::Reset,
        Reply::ResetMidway,
        Reply::Garbage,
    ] {
        let shown = format!("{reply:?}");
        let failure = unknown(answered(reply, |_| {}).await);
        assert!(
            failure
                .reason
                .starts_with("127.0.0.1 gave no whole answer: "),
            "{shown}: {}",
            failure.reason
        );
        assert!(failure.report.unwrap().began.is_some());
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_leaves_the_end_unknown() {
    let slow = Reply::Slow(Duration::from_secs(2), Box::new(Reply::new(200, "")));
    for reply in [Reply::Hang, slow] {
        let failure = answered(reply, |options| {
            options.timeout = Duration::from_millis(200)
        });
        let expected = "127.0.0.1 gave no whole answer within 200ms";
        assert_eq!(unknown(failure.await).reason, expected);
    }
}

#[tokio::test]
async fn connections_are_kept_and_used_again() {
    let server = FakeServer::scripted(vec![
        Reply::new(200, "{}"),
        Reply::new(500, "no"),
        Reply::new(200, "{}"),
    ]);
    let sink = sink(options(&server.url("/hook")));
    let results = sink.deliver(&[lease(), lease(), lease()]).await;
    assert!(matches!(
        results.as_slice(),
        [Ok(_), Err(SinkError::Retry(_)), Ok(_)]
    ));
    assert_eq!((server.requests(), server.connections()), (3, 1));
}

#[tokio::test]
async fn a_private_address_is_refused_after_resolving() {
    let server = FakeServer::scripted(vec![Reply::new(200, "{}")]);
    let url = format!("http://localhost:{}/hook", server.address.port());
    let mut private = options(&url);
    private.allow_private = false;
    let failure = retried(deliver(private, lease()).await);
    assert!(
        failure.reason.contains("resolves to the private address")
            && failure.reason.contains("allow_private is false"),
        "{}",
        failure.reason
    );
    assert_eq!(server.connections(), 0);
    // The name itself works.
    assert_eq!(deliver(options(&url), lease()).await, Ok(Taken::default()));
}

#[test]
fn an_address_written_into_the_url_is_refused_in_every_spelling() {
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "169.254.169.254",
    ] {
        let mut options = options(&format!("http://{host}/hook"));
        options.allow_private = false;
        let bad = HttpSink::new(options, clock()).map(drop);
        assert!(
            matches!(bad, Err(BadOptions::Private(_))),
            "{host}: {bad:?}"
        );
    }
    let mut options = options("http://192.0.66.1/hook");
    options.allow_private = false;
    assert!(HttpSink::new(options, clock()).is_ok());
}

#[test]
fn behind_a_proxy_private_addresses_cannot_be_refused_so_both_together_make_no_sink() {
    let mut options = options("http://tickets.example/hook");
    options.allow_private = false;
    options.proxy = Some(SecretString::from("http://127.0.0.1:3128"));
    let bad = HttpSink::new(options, clock()).map(drop);
    assert_eq!(bad, Err(BadOptions::PrivateBehindProxy));
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_whole_url() {
    let proxy = FakeServer::scripted(vec![Reply::new(200, "{}")]);
    let mut options = options("http://tickets.invalid/hook?a=b");
    let login = proxy.url("").replace("http://", "http://me:pass@");
    options.proxy = Some(SecretString::from(login));
    assert_eq!(deliver(options, lease()).await, Ok(Taken::default()));
    let request = proxy.only();
    assert_eq!(request.target, "http://tickets.invalid/hook?a=b");
    assert_eq!(
        request.header("proxy-authorization"),
        Some("Basic bWU6cGFzcw==")
    );
}

/// A private authority's certificate as PEM, and a server's configuration with one it signed.
fn authority() -> (Vec<u8>, rustls::ServerConfig) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key.into())
        .unwrap();
    (issuer.pem().into_bytes(), config)
}

#[tokio::test]
async fn a_server_of_a_private_authority_is_trusted_only_with_its_certificate() {
    let (ca, tls) = authority();
    let server = FakeServer::secure(tls, Reply::new(200, "{}"));
    let url = format!("https://localhost:{}/hook", server.address.port());
    let failure = retried(deliver(options(&url), lease()).await);
    assert!(
        failure.reason.starts_with("cannot connect to localhost: ")
            && failure.reason.contains("certificate"),
        "{}",
        failure.reason
    );
    let mut trusting = options(&url);
    trusting.ca = Some(ca.clone());
    assert_eq!(deliver(trusting, lease()).await, Ok(Taken::default()));
    assert_eq!(server.only().text(), BODY);
    // The certificate is for a name, and not for every one.
    let mut elsewhere = options(&format!("https://{}/hook", server.address));
    elsewhere.ca = Some(ca);
    retried(deliver(elsewhere, lease()).await);
}

#[tokio::test]
async fn a_secure_request_goes_through_a_proxy_unseen() {
    let (ca, tls) = authority();
    let server = FakeServer::secure(tls, Reply::new(200, "{}"));
    let proxy = FakeServer::scripted(vec![Reply::Tunnel(server.address)]);
    let mut options = options("https://localhost/hook");
    options.ca = Some(ca);
    options.proxy = Some(SecretString::from(proxy.url("")));
    assert_eq!(deliver(options, lease()).await, Ok(Taken::default()));
    let request = proxy.only();
    assert_eq!(
        (&*request.method, &*request.target),
        ("CONNECT", "localhost:443")
    );
    assert_eq!(server.only().text(), BODY);
}

#[tokio::test]
async fn a_proxy_that_does_not_answer_for_the_other_side_means_no_effect() {
    let proxy = FakeServer::scripted(vec![Reply::new(503, "")]);
    let mut options = options("https://localhost/hook");
    options.proxy = Some(SecretString::from(proxy.url("")));
    retried(deliver(options, lease()).await);
}
