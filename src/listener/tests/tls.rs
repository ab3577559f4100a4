//! Encrypted connections have the same deadlines, and those who speak something else hear of it.

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::tls::{Identity, Pem, Tls};
use super::*;
use crate::metrics::{HandshakeOutcome, ListenerTls};

/// A server that speaks TLS, and what its clients need to know of it.
struct Secure {
    server: Server,
    metrics: ListenerTls,
    roots: RootCertStore,
}

impl Secure {
    fn start(options: ListenerOptions) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let identity = Identity::new(Pem {
            cert: &made.cert.pem(),
            key: &made.signing_key.serialize_pem(),
            client_ca: None,
        });
        let metrics = ListenerTls::default();
        let tls = Tls {
            identity: Arc::new(ArcSwap::from_pointee(identity.unwrap())),
            metrics: metrics.clone(),
            section: "server",
        };
        let listener = Listener::bind(SocketAddr::new(SENDER, 0)).expect("a free port");
        let listener = listener.with_tls(Some(tls));
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        Self {
            server: Server::serve(listener, options, Lifecycle::default()),
            metrics,
            roots,
        }
    }

    async fn client(&self) -> TlsStream<TcpStream> {
        self.client_behind("").await
    }

    /// A client that a balancer connects, which says so first.
    async fn client_behind(&self, header: &str) -> TlsStream<TcpStream> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut stream = TcpStream::connect(self.server.address).await.unwrap();
        stream.write_all(header.as_bytes()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, stream).await.unwrap()
    }

    /// Waits until so many handshakes ended so.
    async fn counted(&self, outcome: HandshakeOutcome, count: u64) {
        let counted = async {
            while self.metrics.counted(outcome) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let counted = tokio::time::timeout(BROKEN, counted).await;
        counted.unwrap_or_else(|_| panic!("{} {count} times", outcome.as_str()));
    }
}

async fn ask(stream: &mut TlsStream<TcpStream>, path: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok") && !answer.ends_with(SENDER.to_string().as_bytes()) {
        let read = stream.read_buf(&mut answer).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn requests_follow_each_other_encrypted_and_http_1_is_agreed_on() {
    let secure = Secure::start(options());
    let mut client = secure.client().await;
    assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    for path in ["/", "/peer", "/"] {
        let answer = ask(&mut client, path).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(secure.server.requests(), 2);
    assert_eq!(secure.metrics.counted(HandshakeOutcome::Completed), 1);
}

#[tokio::test]
async fn the_proxy_header_comes_before_the_handshake() {
    let secure = Secure::start(ListenerOptions {
        proxy_protocol: true,
        ..options()
    });
    let header = "PROXY TCP4 192.0.2.7 192.0.2.1 1234 443\r\n";
    let mut client = secure.client_behind(header).await;
    let answer = ask(&mut client, "/peer").await;
    assert!(answer.ends_with("192.0.2.7 by 127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn plain_http_on_a_port_of_tls_is_answered_with_what_to_do() {
    let secure = Secure::start(options());
    let mut client = secure.server.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let answer = client.rest().await;
    assert!(
        answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
        "{answer}"
    );
    assert!(answer.contains("https://"), "{answer}");
    assert_eq!(secure.metrics.counted(HandshakeOutcome::PlainHttp), 1);
    assert_eq!(secure.server.requests(), 0);
}

#[tokio::test]
async fn a_handshake_has_the_time_of_a_head_and_holds_up_nobody() {
    let secure = Secure::start(short_heads());
    let mut silent = Vec::new();
    for half_a_hello in ["", "\u{16}", "\u{16}\u{3}\u{1}"] {
        let mut client = secure.server.client().await;
        if !half_a_hello.is_empty() {
            client.send(half_a_hello).await;
        }
        silent.push(client);
    }
    let mut client = secure.client().await;
    ask(&mut client, "/").await;
    for client in &mut silent {
        assert_eq!(client.rest().await, "");
    }
    secure.counted(HandshakeOutcome::Timeout, 3).await;
}

#[tokio::test]
async fn who_only_connects_or_speaks_another_protocol_is_let_go() {
    let secure = Secure::start(options());
    drop(TcpStream::connect(secure.server.address).await.unwrap());
    let mut client = secure.server.client().await;
    client.send("\u{16}\u{3}\u{1}\u{0}\u{2}\u{1}\u{0}").await;
    drop(client);
    secure.counted(HandshakeOutcome::Closed, 1).await;
    let mut client = secure.server.client().await;
    client
        .send("\u{0}\u{1}\u{2}\u{3}\u{4}\u{5}\u{6}\u{7}")
        .await;
    client.rest().await;
    secure.counted(HandshakeOutcome::Failed, 1).await;
}
