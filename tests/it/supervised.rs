//! What a supervisor such as systemd hands over, and what it is told.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Output;

use crate::launcher::{inheriting, listen};
use crate::receiver::{BASE, PATIENCE, Receiver, command};

/// The output of a receiver that is handed `first`, which it cannot use.
fn refused(first: OwnedFd, names: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.toml"), BASE).unwrap();
    let mut command = inheriting(folder.path(), first, None);
    command.env("LISTEN_FDNAMES", names).output().unwrap()
}

#[test]
fn what_cannot_be_listened_on_stops_the_start_and_says_what_the_unit_needs() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    for (handed, told) in [
        (
            OwnedFd::from(datagrams),
            "the inherited file 3 (web) is no TCP socket",
        ),
        (file.into(), "the inherited file 3 (web) is no TCP socket"),
        (
            connected.into(),
            "the inherited socket 3 (web) does not listen; a socket unit needs Accept=no",
        ),
    ] {
        let output = refused(handed, "web");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(told), "{errors}");
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn sockets_that_are_meant_for_another_process_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.toml"), BASE).unwrap();
    let socket = listen();
    let address = socket.local_addr().unwrap();
    let mut other = command(folder.path(), &[]);
    other.env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
    let receiver = Receiver::run(folder.path(), other);
    assert_ne!(receiver.public, address);
}

/// What the supervisor hears, but for signs of life.
fn next_word(socket: &UnixDatagram) -> String {
    loop {
        let word = hear(socket);
        if word != "WATCHDOG=1\n" {
            return word;
        }
    }
}

fn hear(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 256];
    let length = socket.recv(&mut bytes).unwrap();
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

#[test]
fn the_supervisor_hears_of_the_start_of_reloads_of_life_and_of_the_end() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.toml"), BASE).unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut watched = command(folder.path(), &[]);
    watched
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "60000");
    let mut receiver = Receiver::run(folder.path(), watched);
    assert_eq!(hear(&socket), "READY=1\n");
    for _ in 0..3 {
        assert_eq!(hear(&socket), "WATCHDOG=1\n");
    }
    receiver.signal("HUP");
    let reloading = next_word(&socket);
    let (word, time) = reloading.split_once('\n').unwrap();
    assert_eq!(word, "RELOADING=1");
    assert!(time.starts_with("MONOTONIC_USEC="), "{time}");
    assert_eq!(next_word(&socket), "READY=1\n");
    receiver.signal("TERM");
    assert_eq!(next_word(&socket), "STOPPING=1\n");
    assert_eq!(receiver.wait().code(), Some(0));
}
