//! Encrypted connections, to a server of its own whose certificate is made here.

use std::os::unix::fs::PermissionsExt as _;

use super::authority::Authority;
use super::server::Server;
use super::*;

/// Gives the server a certificate of `authority` for 127.0.0.1, and makes it take encrypted
/// connections only.
fn encrypt(server: &Server, authority: &Authority) {
    let vouched = authority.vouch_for("127.0.0.1");
    let data = server.home.join("data");
    for (name, text) in [
        ("server.crt", vouched.certificate),
        ("server.key", vouched.key),
        (
            "pg_hba.conf",
            "hostssl all all 127.0.0.1/32 trust\n".to_owned(),
        ),
    ] {
        let path = data.join(name);
        let owner = std::fs::metadata(data.join("PG_VERSION")).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let (user, group) = {
            use std::os::unix::fs::MetadataExt as _;
            (owner.uid(), owner.gid())
        };
        std::os::unix::fs::chown(&path, Some(user), Some(group)).unwrap();
    }
    server.sql("postgres", "ALTER SYSTEM SET ssl = on");
    server.sql("postgres", "SELECT pg_reload_conf()");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_known_by_its_certificate_where_that_is_asked_for() {
    let server = tokio::task::spawn_blocking(Server::start).await.unwrap();
    let ours = Authority::new();
    encrypt(&server, &ours);
    let open = async |host: &str, mode: &str, ca: Option<String>| {
        let port = server.port;
        let url = format!("postgres://postgres@{host}:{port}/postgres?sslmode={mode}");
        let options = PostgresOptions {
            ca,
            ..PostgresOptions::new(url.parse().unwrap())
        };
        let opened = PostgresInbox::open(options).await;
        opened.map(drop).map_err(|error| error.to_string())
    };
    // Until the server has read its files again.
    let verified = async {
        while let Err(error) = open("127.0.0.1", "verify-full", Some(ours.certificate())).await {
            tracing::debug!("not yet: {error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), verified)
        .await
        .unwrap();
    assert_eq!(open("127.0.0.1", "require", None).await, Ok(()));
    assert_eq!(open("127.0.0.1", "prefer", None).await, Ok(()));
    let another = open(
        "127.0.0.1",
        "verify-full",
        Some(Authority::new().certificate()),
    )
    .await;
    assert!(another.is_err_and(|error| error.contains("UnknownIssuer")));
    let name = open("localhost", "verify-full", Some(ours.certificate())).await;
    assert!(name.is_err_and(|error| error.contains("not valid for name \"localhost\"")));
    let plain = open("127.0.0.1", "disable", None).await;
    assert!(plain.is_err_and(|error| error.contains("no encryption")));
}
