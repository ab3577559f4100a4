//! A TCP proxy between the receivers and the database, which fails at a chosen byte of a COMMIT or of
//! its answer.

#![expect(
    clippy::disallowed_methods,
    reason = "the connections of a test are no tasks of a lifecycle"
)]

mod messages;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use self::messages::Requests;
use crate::receiver::PATIENCE;

/// The bytes of a COMMIT as a simple query.
pub(crate) const REQUEST: usize = 12;
/// The bytes of its answer: that it is done, and that the next may come.
pub(crate) const ANSWER: usize = 18;

/// So many bytes of a COMMIT, or of its answer, pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    Request(usize),
    Answer(usize),
}

/// What happens then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Both sides find the connection reset.
    Reset,
    /// Both sides find its end.
    Close,
    /// The receiver finds its end; the database waits for more.
    CloseToReceiver,
    /// The database finds its end; what it says still reaches the receiver.
    CloseToDatabase,
    /// Nothing passes any more, either way, and both sides wait.
    Silence,
    /// Nothing passes for so long.
    Delay(Duration),
}

/// A proxy that runs until it is dropped.
pub(crate) struct Cutter {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    /// Counts how often all was healed.
    healed: watch::Sender<usize>,
    _runtime: tokio::runtime::Runtime,
}

struct Shared {
    database: SocketAddr,
    /// The next ones first.
    planned: Mutex<Vec<(Point, Fault)>>,
    cuts: Mutex<usize>,
    cut: Condvar,
}

impl Cutter {
    /// Between the database and whoever comes.
    pub(crate) fn before(database: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let listening = TcpListener::bind("127.0.0.1:0");
        let listener = runtime.block_on(listening).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            database,
            planned: Mutex::default(),
            cuts: Mutex::default(),
            cut: Condvar::new(),
        });
        let healed = watch::Sender::new(0);
        runtime.spawn(accept(listener, Arc::clone(&shared), healed.clone()));
        Self {
            address,
            shared,
            healed,
            _runtime: runtime,
        }
    }

    /// Fails the next COMMITs, on whichever connections: one each.
    pub(crate) fn plan(&self, cuts: impl IntoIterator<Item = (Point, Fault)>) {
        *self.shared.planned.lock().unwrap() = cuts.into_iter().collect();
    }

    /// How many there were.
    pub(crate) fn cuts(&self) -> usize {
        *self.shared.cuts.lock().unwrap()
    }

    /// Waits until there were so many.
    pub(crate) fn wait_for_cuts(&self, count: usize) {
        let cuts = self.shared.cuts.lock().unwrap();
        let (cuts, waited) = self
            .shared
            .cut
            .wait_timeout_while(cuts, PATIENCE, |cuts| *cuts < count)
            .unwrap();
        assert!(!waited.timed_out(), "{cuts} of {count} COMMITs were seen");
    }

    /// Ends what was left half open or silent.
    pub(crate) fn heal(&self) {
        self.healed.send_modify(|times| *times += 1);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, healed: watch::Sender<usize>) {
    while let Ok((near, _)) = listener.accept().await {
        let (shared, healed) = (Arc::clone(&shared), healed.subscribe());
        tokio::spawn(async move {
            // A database that is not there refuses us, too.
            let far = TcpStream::connect(shared.database).await?;
            near.set_nodelay(true)?;
            far.set_nodelay(true)?;
            let connection = Connection {
                near,
                far,
                shared,
                healed,
            };
            connection.carry().await
        });
    }
}

/// One connection, as long as it is whole.
struct Connection {
    near: TcpStream,
    far: TcpStream,
    shared: Arc<Shared>,
    healed: watch::Receiver<usize>,
}

/// A fault that comes after so many bytes of what is passed on.
struct Fuse {
    left: usize,
    fault: Fault,
}

impl Connection {
    async fn carry(mut self) -> io::Result<()> {
        let (mut from_near, mut from_far) = (BytesMut::new(), BytesMut::new());
        let mut requests = Requests::default();
        let mut awaited = None;
        let (mut to_far, mut to_near) = (None, None);
        loop {
            let read = tokio::select! {
                read = self.near.read_buf(&mut from_near) => read?,
                read = self.far.read_buf(&mut from_far) => read?,
            };
            if read == 0 {
                return Ok(());
            }
            while let Some((message, commits)) = requests.next(&mut from_near) {
                if commits {
                    match self.shared.next() {
                        Some((Point::Request(left), fault)) => to_far = Some(Fuse { left, fault }),
                        other => awaited = other.or(awaited),
                    }
                }
                let burnt = pass(&message, &mut self.far, &mut to_far).await?;
                if let Some((rest, fault)) = burnt {
                    match self.fail(fault, &from_far).await? {
                        true => self.far.write_all(&rest).await?,
                        false => return Ok(()),
                    }
                }
            }
            while let Some(message) = next_answer(&mut from_far, &mut requests.asked) {
                if messages::is_committed(&message)
                    && let Some((Point::Answer(left), fault)) = awaited.take()
                {
                    to_near = Some(Fuse { left, fault });
                }
                let burnt = pass(&message, &mut self.near, &mut to_near).await?;
                if let Some((rest, fault)) = burnt {
                    let unsaid = [&rest[..], &from_far[..]].concat();
                    match self.fail(fault, &unsaid).await? {
                        true => self.near.write_all(&rest).await?,
                        false => return Ok(()),
                    }
                }
            }
        }
    }

    /// Whether the connection goes on. `unsaid` came from the database and was not passed on.
    async fn fail(&mut self, fault: Fault, unsaid: &[u8]) -> io::Result<bool> {
        self.healed.mark_unchanged();
        self.shared.tell();
        match fault {
            Fault::Delay(time) => {
                tokio::time::sleep(time).await;
                return Ok(true);
            }
            Fault::Reset => {
                for end in [&self.near, &self.far] {
                    socket2::SockRef::from(end).set_linger(Some(Duration::ZERO))?;
                }
            }
            Fault::Close => {}
            Fault::CloseToReceiver => {
                self.near.shutdown().await?;
                self.until_healed().await;
            }
            Fault::CloseToDatabase => {
                self.far.shutdown().await?;
                self.near.write_all(unsaid).await?;
                tokio::io::copy(&mut self.far, &mut self.near).await?;
            }
            Fault::Silence => self.until_healed().await,
        }
        Ok(false)
    }

    async fn until_healed(&mut self) {
        // The proxy's end heals as well.
        let _healed = self.healed.changed().await;
    }
}

impl Shared {
    fn next(&self) -> Option<(Point, Fault)> {
        let mut planned = self.planned.lock().unwrap();
        (!planned.is_empty()).then(|| planned.remove(0))
    }

    fn tell(&self) {
        *self.cuts.lock().unwrap() += 1;
        self.cut.notify_all();
    }
}

/// The database's next message; what it says to a wish for encryption is none.
fn next_answer(bytes: &mut BytesMut, asked: &mut usize) -> Option<Bytes> {
    if *asked > 0 && !bytes.is_empty() {
        *asked -= 1;
        assert_eq!(bytes[0], b'N', "cuts need to see what is said");
        return Some(bytes.split_to(1).freeze());
    }
    messages::typed(bytes)
}

/// Passes a message on, as far as the fuse lets it; then the rest of it, and the fault.
async fn pass(
    message: &Bytes,
    to: &mut TcpStream,
    fuse: &mut Option<Fuse>,
) -> io::Result<Option<(Bytes, Fault)>> {
    if let Some(burning) = fuse {
        if burning.left <= message.len() {
            to.write_all(&message[..burning.left]).await?;
            let fault = burning.fault;
            let rest = message.slice(burning.left..);
            *fuse = None;
            return Ok(Some((rest, fault)));
        }
        burning.left -= message.len();
    }
    to.write_all(message).await?;
    Ok(None)
}
