//! Certificates that live as long as a test, made with `openssl`, and clients that go by them.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};

use crate::http::Client;
use crate::receiver::{PATIENCE, Receiver};
use crate::room::faketime;

pub(crate) const ECDSA: &str = "ec -pkeyopt ec_paramgen_curve:prime256v1";
pub(crate) const RSA: &str = "rsa:2048";

/// An authority whose files, and those of what it signs, are in one folder.
pub(crate) struct Authority {
    folder: PathBuf,
    name: &'static str,
}

impl Authority {
    /// Makes `NAME.pem` and `NAME.key` in `folder`.
    pub(crate) fn new(folder: &Path, name: &'static str) -> Self {
        let made = Self {
            folder: folder.to_owned(),
            name,
        };
        std::fs::write(
            folder.join("names"),
            "subjectAltName=IP:127.0.0.1,DNS:localhost\n",
        )
        .unwrap();
        made.openssl(
            &format!(
                "req -x509 -newkey {ECDSA} -nodes -keyout {name}.key -out {name}.pem -days 2 -subj \
                 /CN={name}"
            ),
            None,
        );
        made
    }

    /// Makes `NAME.pem` and `NAME.key` for 127.0.0.1, valid for thirty days.
    pub(crate) fn issue(&self, name: &str, kind: &str) {
        self.issue_at(name, kind, None);
    }

    /// The same as if it were another time, such as `-40d`.
    pub(crate) fn issue_at(&self, name: &str, kind: &str, time: Option<&str>) {
        let authority = self.name;
        let request = format!(
            "req -newkey {kind} -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
        );
        self.openssl(&request, None);
        let sign = format!(
            "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial \
             -days 30 -extfile names -out {name}.pem"
        );
        self.openssl(&sign, time);
    }

    /// The path of a file.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// `cert` and `key` of what was issued, as keys of a configuration.
    pub(crate) fn keys(&self, name: &str) -> String {
        let (cert, key) = (
            self.path(&format!("{name}.pem")),
            self.path(&format!("{name}.key")),
        );
        format!("cert = {cert:?}\nkey = {key:?}\n")
    }

    /// A server that shows what this authority issued as `name`.
    pub(crate) fn server(&self, name: &str) -> ServerConfig {
        let key = self.path(&format!("{name}.key"));
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate(name)], key)
            .unwrap()
    }

    /// A client that takes what this authority signed.
    pub(crate) fn client(&self) -> Trusting {
        self.trusting(None)
    }

    /// The same, showing what this authority issued as `name`.
    pub(crate) fn client_as(&self, name: &str) -> Trusting {
        self.trusting(Some((self, name)))
    }

    /// The same, showing what `other` issued as `name`.
    pub(crate) fn client_of(&self, other: &Self, name: &str) -> Trusting {
        self.trusting(Some((other, name)))
    }

    fn trusting(&self, shown: Option<(&Self, &str)>) -> Trusting {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate(self.name)).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match shown {
            None => builder.with_no_client_auth(),
            Some((authority, name)) => {
                let key = authority.path(&format!("{name}.key"));
                let key = PrivateKeyDer::from_pem_file(key).unwrap();
                builder
                    .with_client_auth_cert(vec![authority.certificate(name)], key)
                    .unwrap()
            }
        };
        Trusting(Arc::new(config))
    }

    /// The certificate in `NAME.pem`.
    pub(crate) fn certificate(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path(&format!("{name}.pem"))).unwrap()
    }

    fn openssl(&self, arguments: &str, time: Option<&str>) {
        let mut command = Command::new("openssl");
        if let Some(time) = time {
            faketime(&mut command, time);
        }
        let made = command
            .args(arguments.split_whitespace())
            .current_dir(&self.folder)
            .output()
            .expect("openssl is there: `make test` installs it");
        assert!(made.status.success(), "{arguments}: {made:?}");
    }
}

/// A receiver in `folder` whose public port speaks TLS, and that shows the numbers of it: the admin port
/// does not.
pub(crate) fn receiver_with_tls(folder: &Path) -> Receiver {
    let authority = Authority::new(folder, "authority");
    authority.issue("own", ECDSA);
    Receiver::start_in(folder, &format!("[server.tls]\n{}", authority.keys("own")))
}

/// A connection over TLS.
pub(crate) type Encrypted = Client<StreamOwned<ClientConnection, TcpStream>>;

/// What a client takes, and what it shows.
#[derive(Clone)]
pub(crate) struct Trusting(Arc<ClientConfig>);

impl Trusting {
    /// Connects and shakes hands.
    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<Encrypted> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(address.ip());
        let session = ClientConnection::new(Arc::clone(&self.0), name);
        let mut session = session.map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Client::over(StreamOwned::new(session, stream)))
    }
}

/// The certificate that the other side showed.
pub(crate) fn shown_to(client: &Encrypted) -> CertificateDer<'static> {
    let shown = client.stream().conn.peer_certificates().unwrap();
    shown[0].clone().into_owned()
}
