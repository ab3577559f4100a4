//! A certificate authority that lives as long as a test, made with `openssl`.

use std::path::{Path, PathBuf};
use std::process::Command;

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
