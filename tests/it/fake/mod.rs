//! A fake HTTP server over real sockets that answers by script and remembers what it was sent.
//!
//! One thread a connection, so that it serves tests with and without a runtime.

mod wire;

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use self::wire::{Connection, Received};

/// What the server does with one request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Answers.
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// Answers after so long.
    Slow(Duration, Box<Reply>),
    /// Never answers, but keeps the connection until the other side ends it.
    Hang,
    /// Closes the connection without an answer.
    Close,
    /// Resets the connection without an answer.
    Reset,
    /// Resets it after the head and a part of the body.
    ResetMidway,
    /// Something that is no HTTP.
    Garbage,
    /// Answers 200 to CONNECT and passes everything on, as a proxy does.
    Tunnel(SocketAddr),
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Answer {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// With one more header.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

/// Says what to do with a request; the number counts all requests of the server from 0.
type Script = dyn Fn(&Received, usize) -> Reply + Send + Sync;

struct Shared {
    script: Box<Script>,
    tls: Option<Arc<rustls::ServerConfig>>,
    received: Mutex<Vec<Received>>,
    arrived: Condvar,
    requests: AtomicUsize,
    connections: AtomicUsize,
    stopped: AtomicBool,
    /// Whether requests are kept, or only counted.
    remembers: bool,
}

/// A server that runs until it is dropped.
pub(crate) struct FakeServer {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl FakeServer {
    pub(crate) fn new(script: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(Box::new(script), None, true)
    }

    /// Answers each request with the next of `replies`, and from then on with the last.
    pub(crate) fn scripted(replies: Vec<Reply>) -> Self {
        Self::new(move |_, at| replies[at.min(replies.len() - 1)].clone())
    }

    /// Answers everything alike, speaking TLS.
    pub(crate) fn secure(tls: rustls::ServerConfig, reply: Reply) -> Self {
        let script = move |_: &Received, _| reply.clone();
        Self::start(Box::new(script), Some(Arc::new(tls)), true)
    }

    /// Takes everything and only counts it.
    pub(crate) fn counting() -> Self {
        Self::start(Box::new(|_, _| Reply::new(200, "{}")), None, false)
    }

    fn start(script: Box<Script>, tls: Option<Arc<rustls::ServerConfig>>, remembers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script,
            tls,
            received: Mutex::default(),
            arrived: Condvar::new(),
            requests: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            remembers,
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&accepting);
                shared.connections.fetch_add(1, Ordering::SeqCst);
                // A connection that fails is the other side's to tell.
                thread::spawn(move || stream.and_then(|stream| shared.serve(stream)));
            }
        });
        Self { address, shared }
    }

    /// `http://127.0.0.1:port` and `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A table for the configuration: an http sink called `name`, with further keys.
    pub(crate) fn sink(&self, name: &str, keys: &str) -> String {
        let url = self.url("/hook/secret-path");
        format!("\n[sink.{name}]\ntype = \"http\"\nurl = \"{url}\"\n{keys}\n")
    }

    /// The requests so far, in order of arrival.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// The only request there was.
    pub(crate) fn only(&self) -> Received {
        let mut all = self.received();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// Waits until there were `count` requests.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Received> {
        let patience = Duration::from_secs(30);
        let received = self.shared.received.lock().unwrap();
        let (received, waited) = self
            .shared
            .arrived
            .wait_timeout_while(received, patience, |all| all.len() < count)
            .unwrap();
        assert!(
            !waited.timed_out(),
            "{} of {count} requests",
            received.len()
        );
        received.clone()
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts. It may be gone already.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut connection = Connection::new(stream, self.tls.clone())?;
        while let Some(request) = connection.request()? {
            let at = self.requests.fetch_add(1, Ordering::SeqCst);
            let reply = (self.script)(&request, at);
            let mut place = None;
            if self.remembers {
                let mut received = self.received.lock().unwrap();
                place = Some(received.len());
                received.push(request);
                self.arrived.notify_all();
            }
            let goes_on = answer(&mut connection, reply)?;
            if let Some(place) = place {
                self.received.lock().unwrap()[place].left = Some(Instant::now());
            }
            if !goes_on {
                break;
            }
        }
        Ok(())
    }
}

/// Whether the connection stays.
fn answer(connection: &mut Connection, reply: Reply) -> std::io::Result<bool> {
    match reply {
        Reply::Answer {
            status,
            headers,
            body,
        } => connection.answer(status, &headers, &body).map(|()| true),
        Reply::Slow(after, reply) => {
            thread::sleep(after);
            answer(connection, *reply)
        }
        Reply::Hang => {
            connection.wait_for_end();
            Ok(false)
        }
        Reply::Close => Ok(false),
        Reply::Reset => {
            connection.reset()?;
            Ok(false)
        }
        Reply::ResetMidway => {
            connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"half")?;
            connection.reset()?;
            Ok(false)
        }
        Reply::Garbage => {
            connection.write(b"\x16\x03 what is this?\r\n\r\n")?;
            Ok(false)
        }
        Reply::Tunnel(target) => {
            connection.write(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
            let (near, far) = (
                connection.socket().try_clone()?,
                TcpStream::connect(target)?,
            );
            let (mut from_far, mut to_near) = (far.try_clone()?, near.try_clone()?);
            let back = thread::spawn(move || {
                drop(std::io::copy(&mut from_far, &mut to_near));
                drop(to_near.shutdown(Shutdown::Write));
            });
            let (mut from_near, mut to_far) = (near, far);
            std::io::copy(&mut from_near, &mut to_far)?;
            to_far.flush()?;
            to_far.shutdown(Shutdown::Write)?;
            drop(back.join());
            Ok(false)
        }
    }
}
