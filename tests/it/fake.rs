//! The other side of an http sink: a server that answers by script and remembers what it saw.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::receiver::PATIENCE;

/// One request, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// When its last byte came, and when its answer was on the way.
    pub(crate) came: Instant,
    pub(crate) left: Option<Instant>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The event's id, as every request says it.
    pub(crate) fn id(&self) -> String {
        let id = self.header("flashduty-event-id");
        id.unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }

    pub(crate) fn attempt(&self) -> u32 {
        self.header("flashduty-attempt").unwrap().parse().unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What becomes of a request.
pub(crate) enum Reply {
    /// A status, further header lines with their CRLF, and a body.
    Answer(u16, String, String),
    /// The connection is reset in the middle of the answer.
    Reset,
    /// What is no HTTP.
    Garbage,
    /// Nothing, until the other side hangs up.
    Hang,
    /// The answer comes so much later.
    Late(Duration, Box<Reply>),
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer(status, String::new(), String::new())
    }

    pub(crate) fn json(body: &serde_json::Value) -> Self {
        let kind = "Content-Type: application/json\r\n";
        Self::Answer(200, kind.to_owned(), body.to_string())
    }
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

struct Shared {
    seen: Mutex<Vec<Seen>>,
    news: Condvar,
    script: Box<Script>,
}

/// A server that runs until the test ends.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Fake {
    pub(crate) fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            news: Condvar::new(),
            script: Box::new(script),
        });
        let address = listener.local_addr().unwrap();
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&serving);
                // A client that goes away ends its thread.
                std::thread::spawn(move || serve(stream, &shared).unwrap_or_default());
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook/secret-path", self.address)
    }

    /// A table for the configuration: an http sink called `name`, with further keys.
    pub(crate) fn sink(&self, name: &str, keys: &str) -> String {
        format!(
            "\n[sink.{name}]\ntype = \"http\"\nurl = \"{}\"\n{keys}\n",
            self.url()
        )
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Waits until `enough` is true of all requests so far.
    pub(crate) fn wait(&self, what: &str, enough: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.shared.seen.lock().unwrap();
        while !enough(&seen) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what}: {} requests", seen.len());
            seen = self.shared.news.wait_timeout(seen, left).unwrap().0;
        }
        seen.clone()
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader)? {
        let reply = (shared.script)(&request);
        let place = {
            let mut seen = shared.seen.lock().unwrap();
            seen.push(request);
            seen.len() - 1
        };
        shared.news.notify_all();
        let goes_on = answer(reader.get_mut(), reply)?;
        shared.seen.lock().unwrap()[place].left = Some(Instant::now());
        shared.news.notify_all();
        if !goes_on {
            break;
        }
    }
    Ok(())
}

fn read(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Seen>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut seen = Seen {
        method,
        path,
        headers,
        body: Vec::new(),
        came: Instant::now(),
        left: None,
    };
    let length = seen
        .header("content-length")
        .map(|text| text.parse().unwrap());
    seen.body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut seen.body)?;
    seen.came = Instant::now();
    Ok(Some(seen))
}

/// False when nothing more comes on this connection.
fn answer(stream: &mut TcpStream, reply: Reply) -> std::io::Result<bool> {
    match reply {
        Reply::Answer(status, headers, body) => {
            let head = format!(
                "HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(format!("{head}{body}").as_bytes())?;
            Ok(true)
        }
        Reply::Reset => {
            stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\nhalf")?;
            socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO))?;
            Ok(false)
        }
        Reply::Garbage => {
            stream.write_all(b"\x16\x03\x01 no such thing\r\n\r\n")?;
            stream.shutdown(Shutdown::Both)?;
            Ok(false)
        }
        Reply::Hang => {
            let _gone = stream.read(&mut [0; 1])?;
            Ok(false)
        }
        Reply::Late(by, reply) => {
            std::thread::sleep(by);
            answer(stream, *reply)
        }
    }
}
