//! Real proxies with the configurations that are shipped: nginx and `HAProxy`.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::receiver::PATIENCE;

/// A proxy that runs. Ended when dropped.
pub(crate) struct Proxy {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// The shipped file at `path` with other addresses, and without TLS: each pair is a line's beginning
/// and what stands there instead.
fn adapted(path: &str, changes: &[(&str, String)]) -> String {
    changed(&read(path), changes)
}

/// The project's file at `path`.
fn read(path: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(file).unwrap()
}

/// The same with a text.
fn changed(text: &str, changes: &[(&str, String)]) -> String {
    for (beginning, _) in changes {
        let is_there = |line: &str| line.trim().starts_with(beginning);
        assert!(text.lines().any(is_there), "{beginning} is not in {text}");
    }
    let lines = text.lines().map(|line| {
        let change = changes
            .iter()
            .find(|(beginning, _)| line.trim().starts_with(beginning));
        change.map_or(line, |(_, instead)| instead.as_str())
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// A file with what it offers switched on: `#key` is such a line, and `# word` a comment.
pub(crate) fn switched_on(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let offered = line.trim_start().strip_prefix('#');
        let offered = offered.filter(|rest| !rest.is_empty() && !rest.starts_with([' ', '#', '!']));
        offered.map_or_else(|| line.to_owned(), |_| line.replacen('#', "", 1))
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// An address that is free for now.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

impl Proxy {
    /// nginx before one receiver, or before two with what the file says of two.
    pub(crate) fn nginx(receivers: &[SocketAddr], folder: &Path) -> Self {
        let address = free_address();
        let mut changes = vec![
            ("listen 443 ssl;", format!("listen {address};")),
            ("ssl_certificate ", String::new()),
            ("ssl_certificate_key ", String::new()),
        ];
        let places = ["server 10.0.0.10:8080 ", "#server 10.0.0.11:8080 "];
        for (place, receiver) in places.into_iter().zip(receivers) {
            changes.push((place, format!("server {receiver} max_fails=0;")));
        }
        if receivers.len() > 1 {
            for key in ["proxy_read_timeout ", "proxy_send_timeout "] {
                changes.push((key, format!("{key}500ms;")));
            }
        }
        Self::nginx_with(&adapted("deploy/nginx.conf", &changes), address, folder)
    }

    /// nginx before two receivers, with the file that compose mounts.
    pub(crate) fn nginx_of_compose(receivers: &[SocketAddr], folder: &Path) -> Self {
        let address = free_address();
        let mut changes = vec![("listen 8080;", format!("listen {address};"))];
        let places = ["server 172.30.57.11:8080 ", "server 172.30.57.12:8080 "];
        for (place, receiver) in places.into_iter().zip(receivers) {
            changes.push((place, format!("server {receiver} max_fails=0;")));
        }
        let text = adapted("deploy/compose/nginx.conf", &changes);
        Self::nginx_with(&text, address, folder)
    }

    /// nginx that listens on `address`, as `server` says.
    fn nginx_with(server: &str, address: SocketAddr, folder: &Path) -> Self {
        std::fs::write(folder.join("receiver.conf"), server).unwrap();
        // What surrounds it on a machine of its own: here nothing may lie anywhere else.
        let place = folder.display();
        let around = format!(
            "daemon off; user root; worker_processes 2; pid {place}/pid; error_log {place}/error.log;\n\
             events {{}}\n\
             http {{\n access_log off;\n client_body_temp_path {place}/bodies;\n\
             proxy_temp_path {place}/proxy;\n fastcgi_temp_path {place}/fastcgi;\n\
             uwsgi_temp_path {place}/uwsgi;\n scgi_temp_path {place}/scgi;\n\
             include {place}/receiver.conf;\n}}\n"
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, around).unwrap();
        let mut nginx = Command::new(installed("nginx"));
        nginx.arg("-c").arg(file).arg("-e").arg(folder.join("log"));
        Self::start(nginx, address)
    }

    /// `HAProxy` before one receiver, or before two with what the file says of two.
    pub(crate) fn haproxy(receivers: &[SocketAddr], folder: &Path) -> Self {
        let address = free_address();
        let text = read("deploy/haproxy.cfg");
        let text = match receivers.len() {
            1 => text,
            _ => switched_on(&text),
        };
        let mut changes = vec![("bind :443 ssl crt", format!("    bind {address}"))];
        let servers = [
            "server receiver 10.0.0.10:8080",
            "server receiver2 10.0.0.11:8080",
        ];
        for (line, receiver) in servers.into_iter().zip(receivers) {
            let name = line.trim_end_matches(|end| end != ' ');
            changes.push((line, format!("    {name}{receiver}")));
        }
        Self::haproxy_with(&changed(&text, &changes), address, folder)
    }

    /// `HAProxy` that listens on `address`, as `text` says.
    pub(crate) fn haproxy_with(text: &str, address: SocketAddr, folder: &Path) -> Self {
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, text).unwrap();
        let mut haproxy = Command::new(installed("haproxy"));
        haproxy.arg("-db").arg("-f").arg(file);
        Self::start(haproxy, address)
    }

    fn start(mut command: Command, address: SocketAddr) -> Self {
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        let proxy = Self { child, address };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "{command:?} does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        // The workers go with their master, which a kill would leave behind.
        let _told = Command::new("kill").args(["-s", "TERM", &pid]).status();
        let _reaped = self.child.wait();
    }
}

/// Where a package puts its daemon; it may not be in the path of whoever runs the tests.
fn installed(name: &str) -> PathBuf {
    let place = Path::new("/usr/sbin").join(name);
    assert!(place.exists(), "`make test` installs {name}");
    place
}
