//! A certificate authority that lives as long as a test, made with `openssl`, and a system that trusts it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Says to a process of [`where_the_system_trusts_one`] where the files of its authority are.
const FOLDER: &str = "FOLDER_OF_THE_SYSTEMS_AUTHORITY";

/// Runs `test`, which asks for this, again in a process whose system trusts one authority and nobody else: what a
/// system trusts goes by the environment. In that process it gives the folder with the authority's files.
pub(crate) fn where_the_system_trusts_one(test: &str) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return Some(folder.into());
    }
    let folder = tempfile::tempdir().unwrap();
    authority(folder.path());
    let again = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(FOLDER, folder.path())
        .env("SSL_CERT_FILE", folder.path().join("ca.pem"))
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&again.stdout);
    let ran = again.status.success() && said.contains("1 passed");
    assert!(ran, "{said}{}", String::from_utf8_lossy(&again.stderr));
    None
}

/// Makes `ca.pem`, `server.pem` and `server.key` for 127.0.0.1 in `folder`; gives `ca.pem`'s content.
pub(crate) fn authority(folder: &Path) -> Vec<u8> {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    std::fs::write(folder.join("san"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    for arguments in [
        format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"),
        format!("req {key} -keyout server.key -out server.csr -subj /CN=server"),
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san \
         -out server.pem"
            .to_owned(),
    ] {
        let made = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(folder)
            .output()
            .expect("openssl is there: `make test` installs it");
        assert!(made.status.success(), "{made:?}");
    }
    std::fs::read(folder.join("ca.pem")).unwrap()
}

/// The server's certificate and key.
pub(crate) fn server_files(folder: &Path) -> [PathBuf; 2] {
    ["server.pem", "server.key"].map(|name| folder.join(name))
}
