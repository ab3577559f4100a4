//! The nats sink against `nats-server` with JetStream.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, StorageType};
use async_nats::jetstream::{self, consumer};
use flashduty_receiver::event::{Event, Id};
use flashduty_receiver::sink::nats::{NatsAuth, NatsOptions, NatsSink};
use flashduty_receiver::sink::{Sink as _, SinkError};
use futures_util::StreamExt as _;
use secrecy::SecretString;

use crate::arrived::{Arrived, check};
use crate::course::{event, leases};
use crate::server::{EVENTS, SUBJECTS, Server, free_port, killed_twice, tells_no_password};
use crate::tls;

const PASSWORD: &str = "r1ght-p4ssword";

fn server(folder: &Path, port: u16) -> Server {
    let words = format!(
        "nats-server -js -sd {} -a 127.0.0.1 -p {port} --user us --pass {PASSWORD}",
        folder.display()
    );
    let command = words.split_whitespace().map(str::to_owned).collect();
    Server::start(command, "Server is ready")
}

fn options(port: u16) -> NatsOptions {
    NatsOptions {
        url: SecretString::from(format!("nats://127.0.0.1:{port}")),
        subject: "flashduty.{tag}.{event_type}".to_owned(),
        stream: Some("flashduty".to_owned()),
        auth: Some(NatsAuth::Password {
            username: "us".to_owned(),
            password: SecretString::from(PASSWORD),
        }),
        ca_file: None,
        timeout: Duration::from_secs(2),
    }
}

async fn connected(port: u16) -> jetstream::Context {
    let options = async_nats::ConnectOptions::with_user_and_password("us".into(), PASSWORD.into());
    let client = options.connect(format!("127.0.0.1:{port}")).await.unwrap();
    jetstream::new(client)
}

async fn make_stream(port: u16, name: &str, subjects: &str) {
    let config = Config {
        name: name.to_owned(),
        subjects: vec![subjects.to_owned()],
        storage: StorageType::File,
        ..Config::default()
    };
    connected(port).await.create_stream(config).await.unwrap();
}

async fn arrived(port: u16) -> Vec<Arrived> {
    let context = connected(port).await;
    let stream = context.get_stream("flashduty").await.unwrap();
    let count = stream.get_info().await.unwrap().state.messages;
    let config = consumer::pull::OrderedConfig::default();
    let consumer = stream.create_consumer(config).await.unwrap();
    let messages = consumer.messages().await.unwrap();
    let messages = messages.take(usize::try_from(count).unwrap());
    let read = messages.map(|message| {
        let message = message.unwrap();
        let headers = message.headers.clone().unwrap_or_default();
        let mut fields: std::collections::BTreeMap<String, String> = headers
            .iter()
            .map(|(name, values)| (name.to_string(), values[0].to_string()))
            .collect();
        fields.insert("subject".to_owned(), message.subject.to_string());
        Arrived {
            fields,
            body: message.payload.to_vec(),
        }
    });
    read.collect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_that_is_killed_and_started_again_has_every_event_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut server = server(folder.path(), port);
    make_stream(port, "flashduty", "flashduty.>").await;
    let sink = Arc::new(NatsSink::new(options(port)).unwrap());
    let progress = killed_twice(sink, &mut server).await;
    let repeats = check(&arrived(port).await, EVENTS, SUBJECTS);
    assert_eq!(repeats, 0, "Nats-Msg-Id lets the stream swallow them");
    println!("nats: {} failed attempts", progress.failed);
}

#[tokio::test]
async fn a_wrong_nats_password_is_told_without_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let _server = server(folder.path(), port);
    let mut in_url = options(port);
    in_url.url = SecretString::from(format!("nats://us:wr0ng-p4ssword@127.0.0.1:{port}"));
    in_url.auth = None;
    let mut beside = options(port);
    beside.auth = Some(NatsAuth::Password {
        username: "us".to_owned(),
        password: SecretString::from("wr0ng-p4ssword"),
    });
    for wrong in [in_url, beside] {
        tells_no_password(&NatsSink::new(wrong).unwrap(), port).await;
    }
}

#[tokio::test]
async fn a_stream_that_is_missing_or_another_one_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut server = server(folder.path(), port);
    let sink = NatsSink::new(options(port)).unwrap();
    let leases = leases(vec![event(0, 1)]).await;
    let reason = |results: Vec<_>| match &results[..] {
        [Err(SinkError::Retry(failure))] => failure.reason.clone(),
        other => panic!("{other:?}"),
    };
    let missing = reason(sink.deliver(&leases).await);
    assert!(missing.contains("nats stream add"), "{missing}");
    assert!(missing.contains("flashduty.eu_1.i_new"), "{missing}");

    make_stream(port, "another", "flashduty.>").await;
    let wrong = reason(sink.deliver(&leases).await);
    assert!(wrong.contains("another stream than flashduty"), "{wrong}");

    connected(port)
        .await
        .delete_stream("another")
        .await
        .unwrap();
    make_stream(port, "flashduty", "flashduty.>").await;
    assert!(sink.deliver(&leases).await[0].is_ok());

    server.kill();
    let away = sink.deliver(&leases).await;
    assert!(away[0].is_err(), "{away:?}");
}

#[tokio::test]
async fn a_stream_swallows_repeats_of_one_delivery_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let _server = server(folder.path(), port);
    make_stream(port, "flashduty", "flashduty.>").await;
    let sink = NatsSink::new(options(port)).unwrap();
    let changed = |change: fn(&mut Event)| {
        let mut one = event(0, 1);
        one.event_time = Some(1_700_000_000_000);
        change(&mut one);
        one
    };
    let different = [
        changed(|_| ()),
        changed(|one| one.route.tag = Some("eu_1".into())),
        changed(|one| one.route.query = Some("a=b".into())),
        changed(|one| one.event_type = Id::new("i_ack")),
        changed(|one| one.event_time = Some(1_700_000_000_001)),
        changed(|one| one.event_time = None),
        changed(|one| one.event_id = None),
    ];
    let count = different.len();
    for one in different {
        let leases = leases(vec![one]).await;
        for _again in 0..2 {
            assert!(sink.deliver(&leases).await[0].is_ok());
        }
    }
    // Another sink that puts the same event on another subject of the stream.
    let mut other = options(port);
    other.subject = "flashduty.all".to_owned();
    let other = NatsSink::new(other).unwrap();
    let leases = leases(vec![changed(|_| ())]).await;
    assert!(other.deliver(&leases).await[0].is_ok());
    assert_eq!(arrived(port).await.len(), count + 1);
}

/// One that speaks TLS, with the certificate in `folder` and without a stream; and what reaches it.
fn encrypted(folder: &Path) -> (Server, NatsOptions) {
    let [certificate, key] = tls::server_files(folder);
    let port = free_port();
    let words = format!(
        "nats-server -js -sd {} -a 127.0.0.1 -p {port} --tls --tlscert {} --tlskey {}",
        folder.display(),
        certificate.display(),
        key.display()
    );
    let command = words.split_whitespace().map(str::to_owned).collect();
    let mut options = options(port);
    options.url = SecretString::from(format!("tls://127.0.0.1:{port}"));
    options.auth = None;
    (Server::start(command, "Server is ready"), options)
}

/// Why there is no delivery to a server that has no stream.
async fn reason(options: NatsOptions) -> String {
    let leases = leases(vec![event(0, 1)]).await;
    let results = NatsSink::new(options).unwrap().deliver(&leases).await;
    match &results[..] {
        [Err(SinkError::Retry(failure))] => failure.reason.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nats_over_tls_is_trusted_by_its_authority_and_not_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let ca = tls::authority(folder.path());
    let (_server, stranger) = encrypted(folder.path());
    let trusting = NatsOptions {
        ca_file: Some(ca),
        ..stranger.clone()
    };
    let trusted = reason(trusting).await;
    assert!(trusted.contains("no stream takes"), "{trusted}");
    let untrusted = reason(stranger).await;
    assert!(untrusted.contains("cannot connect"), "{untrusted}");
}

#[tokio::test]
async fn a_nats_that_the_system_trusts_is_trusted_beside_the_authority_of_a_file() {
    let test = "nats::a_nats_that_the_system_trusts_is_trusted_beside_the_authority_of_a_file";
    let Some(folder) = tls::where_the_system_trusts_one(test) else {
        return;
    };
    let another = tempfile::tempdir().unwrap();
    let (_server, mut options) = encrypted(&folder);
    options.ca_file = Some(tls::authority(another.path()));
    let trusted = reason(options).await;
    assert!(trusted.contains("no stream takes"), "{trusted}");
}

#[test]
fn nats_options_that_cannot_work_are_refused_without_their_secrets() {
    let wrong = |change: fn(&mut NatsOptions)| {
        let mut options = options(4222);
        change(&mut options);
        NatsSink::new(options).err().expect("it is refused")
    };
    for url in [
        "http://us:p4ssword@host",
        "",
        "nats://a,",
        "nats://us:p4ssword@",
    ] {
        let mut options = options(4222);
        options.url = url.into();
        let refused = NatsSink::new(options).err().expect(url);
        assert_eq!(refused.key, "url");
        assert!(!refused.to_string().contains("p4ssword"), "{refused}");
    }
    assert_eq!(
        wrong(|options| options.subject = "a..b".into()).key,
        "subject"
    );
    assert_eq!(
        wrong(|options| options.stream = Some(String::new())).key,
        "stream"
    );
    assert_eq!(
        wrong(|options| options.ca_file = Some(b"no".to_vec())).key,
        "ca_file"
    );
    let seed = wrong(|options| options.auth = Some(NatsAuth::Nkey("p4ssword".into())));
    assert_eq!(seed.key, "nkey");
    let creds = wrong(|options| options.auth = Some(NatsAuth::Credentials("p4ssword".into())));
    assert_eq!(creds.key, "credentials");
    assert!(!format!("{seed}{creds}{:?}", options(1)).contains("p4ssword"));
}

#[tokio::test]
async fn a_nats_is_greeted_and_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut server = server(folder.path(), port);
    make_stream(port, "flashduty", "flashduty.>").await;
    let sink = NatsSink::new(options(port)).unwrap();
    sink.greet().await.unwrap();
    assert_eq!(arrived(port).await.len(), 0);
    server.kill();
    let another = NatsSink::new(options(port)).unwrap();
    let gone = another.greet().await.unwrap_err().to_string();
    assert!(
        gone.contains("cannot connect to nats://127.0.0.1"),
        "{gone}"
    );
}
