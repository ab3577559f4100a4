//! Holds a listening socket, as systemd does, and starts receivers that inherit it.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use socket2::{Domain, Socket, Type};

use crate::receiver::{Receiver, command};

/// As in the socket unit.
const BACKLOG: i32 = 4096;

/// The public socket of receivers that follow one another in one folder.
pub(crate) struct Launcher {
    socket: TcpListener,
    folder: tempfile::TempDir,
}

impl Launcher {
    /// Listens; the receivers get `configuration`.
    pub(crate) fn new(configuration: &str) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), configuration)
    }

    /// The same in a folder whose store may be there.
    pub(crate) fn in_folder(folder: tempfile::TempDir, configuration: &str) -> Self {
        std::fs::write(folder.path().join("config.toml"), configuration).unwrap();
        Self {
            socket: listen(),
            folder,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// What the system calls the socket where it lists open files.
    pub(crate) fn inode(&self) -> String {
        let link = format!("/proc/self/fd/{}", self.socket.as_raw_fd());
        let inode = std::fs::read_link(link).unwrap();
        inode.to_str().unwrap().to_owned()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the next receiver, once the one before has ended.
    pub(crate) fn start(&self) -> Receiver {
        Receiver::run(self.folder(), self.command())
    }

    /// What starts it.
    pub(crate) fn command(&self) -> Command {
        let socket = self.socket.try_clone().unwrap();
        inheriting(self.folder(), socket.into(), None)
    }
}

/// A socket as a socket unit makes it.
pub(crate) fn listen() -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&anywhere.into()).unwrap();
    socket.listen(BACKLOG).unwrap();
    socket.into()
}

/// The receiver at home in `folder`, which finds `first` as its file 3 and `second` as its file 4.
/// A shell in between moves them there, as the standard library cannot, and then is the receiver:
/// only so does `LISTEN_PID` name it.
pub(crate) fn inheriting(folder: &Path, first: OwnedFd, second: Option<OwnedFd>) -> Command {
    let receiver = command(folder, &[]);
    let (count, moves) = match second {
        Some(_) => ("2", "exec 3<&0 4<&2 0</dev/null 2>&1"),
        None => ("1", "exec 3<&0 0</dev/null"),
    };
    let mut shell = Command::new("sh");
    shell
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LISTEN_FDS", count)
        .arg("-c")
        .arg(format!("{moves}; export LISTEN_PID=$$; exec \"$0\" \"$@\""))
        .arg(receiver.get_program())
        .args(receiver.get_args())
        .stdin(Stdio::from(first));
    if let Some(second) = second {
        shell.stderr(Stdio::from(second));
    }
    shell
}
