//! The redis sink against `redis-server`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flashduty_receiver::sink::redis::{RedisOptions, RedisSink};
use flashduty_receiver::sink::{Sink as _, SinkError};
use secrecy::SecretString;

use crate::arrived::{Arrived, check};
use crate::course::{body, event, leases};
use crate::server::{EVENTS, SUBJECTS, Server, free_port, killed_twice, tells_no_password};
use crate::tls;

const PASSWORD: &str = "r1ght-p4ssword";
const KEY: &str = "flashduty:events";

fn server(folder: &Path, port: u16) -> Server {
    let words = format!(
        "redis-server --port {port} --bind 127.0.0.1 --requirepass {PASSWORD} --appendonly yes \
         --appendfsync always --dir {}",
        folder.display()
    );
    let mut command: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    command.extend(["--save".to_owned(), String::new()]);
    Server::start(command, "Ready to accept connections")
}

fn options(port: u16) -> RedisOptions {
    RedisOptions {
        url: SecretString::from(format!("redis://:{PASSWORD}@127.0.0.1:{port}/0")),
        key: KEY.to_owned(),
        max_len: Some(100_000),
        username: None,
        password: None,
        ca_file: None,
        timeout: Duration::from_secs(2),
    }
}

async fn connected(port: u16) -> redis::aio::MultiplexedConnection {
    let url = format!("redis://:{PASSWORD}@127.0.0.1:{port}/0");
    let client = redis::Client::open(url).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn command(port: u16, words: &[&str]) -> redis::Value {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command
        .query_async(&mut connected(port).await)
        .await
        .unwrap()
}

async fn arrived(port: u16) -> Vec<Arrived> {
    let mut range = redis::cmd("XRANGE");
    range.arg(KEY).arg("-").arg("+");
    let entries: Vec<(String, BTreeMap<String, Vec<u8>>)> =
        range.query_async(&mut connected(port).await).await.unwrap();
    let entries = entries.into_iter().map(|(_id, mut fields)| Arrived {
        body: fields.remove("push").unwrap(),
        fields: fields
            .into_iter()
            .map(|(name, value)| (name, String::from_utf8(value).unwrap()))
            .collect(),
    });
    entries.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed_and_started_again_has_every_event_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut server = server(folder.path(), port);
    let sink = Arc::new(RedisSink::new(options(port)).unwrap());
    let progress = killed_twice(sink, &mut server).await;
    let repeats = check(&arrived(port).await, EVENTS, SUBJECTS);
    println!(
        "redis: {} failed attempts, {repeats} repeats",
        progress.failed
    );
}

#[tokio::test]
async fn a_wrong_redis_password_is_told_without_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let _server = server(folder.path(), port);
    let mut wrong = options(port);
    wrong.url = SecretString::from(format!("redis://:wr0ng-p4ssword@127.0.0.1:{port}"));
    tells_no_password(&RedisSink::new(wrong).unwrap(), port).await;
}

#[tokio::test]
async fn what_redis_refuses_is_told_apart_from_what_it_cannot_take_now() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut server = server(folder.path(), port);
    let sink = RedisSink::new(options(port)).unwrap();
    let leases = leases(vec![event(0, 2), event(1, 2)]).await;

    command(port, &["SET", KEY, "no stream"]).await;
    for result in sink.deliver(&leases).await {
        assert!(
            matches!(&result, Err(SinkError::Refused(it)) if it.reason.contains(KEY)),
            "{result:?}"
        );
    }
    command(port, &["DEL", KEY]).await;

    command(port, &["CONFIG", "SET", "maxmemory", "1"]).await;
    for result in sink.deliver(&leases).await {
        assert!(
            matches!(&result, Err(SinkError::Retry(it)) if it.reason.contains("memory")),
            "{result:?}"
        );
    }
    command(port, &["CONFIG", "SET", "maxmemory", "0"]).await;

    command(port, &["REPLICAOF", "127.0.0.1", "1"]).await;
    for result in sink.deliver(&leases).await {
        assert!(
            matches!(&result, Err(SinkError::Retry(it)) if it.reason.contains("replica")),
            "{result:?}"
        );
    }
    command(port, &["REPLICAOF", "NO", "ONE"]).await;
    assert!(sink.deliver(&leases).await.iter().all(Result::is_ok));

    // A connection that died while nothing was to be done costs no attempt an unknown end.
    server.kill();
    server.start_again();
    assert!(sink.deliver(&leases).await.iter().all(Result::is_ok));
    server.kill();
    for result in sink.deliver(&leases).await {
        assert!(matches!(&result, Err(SinkError::Retry(_))), "{result:?}");
    }
    server.start_again();
    let there = arrived(port).await;
    assert_eq!(there.len(), 4);
    assert_eq!(there[0].body, body(0));
    assert_eq!(there[0].field("Flashduty-Attempt"), Some("1"));
}

/// One that speaks TLS, with the certificate in `folder`, and what reaches it.
fn encrypted(folder: &Path) -> (Server, RedisOptions) {
    let [certificate, key] = tls::server_files(folder);
    let port = free_port();
    let words = format!(
        "redis-server --port 0 --tls-port {port} --bind 127.0.0.1 --tls-auth-clients no \
         --tls-cert-file {} --tls-key-file {} --dir {}",
        certificate.display(),
        key.display(),
        folder.display()
    );
    let command = words.split_whitespace().map(str::to_owned).collect();
    let mut options = options(port);
    options.url = SecretString::from(format!("rediss://127.0.0.1:{port}"));
    (
        Server::start(command, "Ready to accept connections"),
        options,
    )
}

#[tokio::test]
async fn redis_over_tls_is_trusted_by_its_authority_and_not_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let ca = tls::authority(folder.path());
    let (_server, stranger) = encrypted(folder.path());
    let trusting = RedisOptions {
        ca_file: Some(ca),
        ..stranger.clone()
    };
    let leases = leases(vec![event(0, 1)]).await;
    let trusted = RedisSink::new(trusting).unwrap().deliver(&leases).await;
    assert!(trusted[0].is_ok(), "{trusted:?}");
    let untrusted = RedisSink::new(stranger).unwrap().deliver(&leases).await;
    assert!(
        matches!(&untrusted[0], Err(SinkError::Retry(_))),
        "{untrusted:?}"
    );
}

#[tokio::test]
async fn a_redis_that_the_system_trusts_is_trusted_beside_the_authority_of_a_file() {
    let test = "redis::a_redis_that_the_system_trusts_is_trusted_beside_the_authority_of_a_file";
    let Some(folder) = tls::where_the_system_trusts_one(test) else {
        return;
    };
    let another = tempfile::tempdir().unwrap();
    let (_server, mut options) = encrypted(&folder);
    options.ca_file = Some(tls::authority(another.path()));
    let leases = leases(vec![event(0, 1)]).await;
    let trusted = RedisSink::new(options).unwrap().deliver(&leases).await;
    assert!(trusted[0].is_ok(), "{trusted:?}");
}

#[test]
fn redis_options_that_cannot_work_are_refused_without_their_secrets() {
    let wrong = |change: fn(&mut RedisOptions)| {
        let mut options = options(6379);
        change(&mut options);
        RedisSink::new(options).err().expect("it is refused")
    };
    let url = wrong(|options| options.url = "http://u:p4ssword@host".into());
    assert_eq!(url.key, "url");
    assert!(!url.to_string().contains("p4ssword"), "{url}");
    assert_eq!(wrong(|options| options.key.clear()).key, "key");
    assert_eq!(wrong(|options| options.max_len = Some(0)).key, "max_len");
    let plain = wrong(|options| options.ca_file = Some(Vec::new()));
    assert_eq!(plain.key, "ca_file");
    assert!(plain.reason.contains("rediss://"), "{plain}");
    let shown = format!("{:?}", options(1));
    assert!(!shown.contains("p4ssword"), "{shown}");
}

#[tokio::test]
async fn a_redis_is_greeted_and_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut server = server(folder.path(), port);
    let sink = RedisSink::new(options(port)).unwrap();
    sink.greet().await.unwrap();
    assert_eq!(arrived(port).await.len(), 0);
    server.kill();
    let gone = sink.greet().await.unwrap_err().to_string();
    assert!(
        gone.contains("cannot connect to redis://127.0.0.1"),
        "{gone}"
    );
}
