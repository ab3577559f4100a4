//! HTTP/1.1 as the fake server speaks it: requests with a length, over TCP or TLS.

use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One request, as it stood on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// What stands behind the method: a path, or a URL or authority for a proxy.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// When its last byte came.
    pub(crate) came: Instant,
    /// When its answer was given, or was refused it.
    pub(crate) left: Option<Instant>,
}

impl Received {
    /// The id of the event, which every request says.
    pub(crate) fn event_id(&self) -> String {
        let id = self.header("flashduty-event-id");
        id.unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }

    /// Which attempt of its delivery it is.
    pub(crate) fn attempt(&self) -> u32 {
        self.header("flashduty-attempt").unwrap().parse().unwrap()
    }

    /// The value of the only header `name`.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter().filter(|(known, _)| known == name);
        let (first, second) = (all.next(), all.next());
        assert!(second.is_none(), "{name} stands there twice");
        first.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// The server's end of a connection.
pub(crate) struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    socket: TcpStream,
}

impl Connection {
    pub(crate) fn new(socket: TcpStream, tls: Option<Arc<rustls::ServerConfig>>) -> Result<Self> {
        let plain = socket.try_clone()?;
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(plain),
            Some(config) => {
                let session = rustls::ServerConnection::new(config).map_err(Error::other)?;
                Box::new(rustls::StreamOwned::new(session, plain))
            }
        };
        Ok(Self {
            stream: BufReader::new(stream),
            socket,
        })
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// The next request; `None` when the other side has ended the connection.
    pub(crate) fn request(&mut self) -> Result<Option<Received>> {
        let first = self.line()?;
        let mut words = first.split(' ').map(str::to_owned);
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Ok(None);
        };
        let (mut headers, mut length) = (Vec::new(), 0);
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
            if name == "content-length" {
                length = value.parse().map_err(|_| ErrorKind::InvalidData)?;
            }
            headers.push((name, value));
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Some(Received {
            method,
            target,
            headers,
            body,
            came: Instant::now(),
            left: None,
        }))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    pub(crate) fn answer(
        &mut self,
        status: u16,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Result<()> {
        let length = body.len();
        let mut answer = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {length}\r\n");
        for (name, value) in headers {
            answer.push_str(&format!("{name}: {value}\r\n"));
        }
        answer.push_str("\r\n");
        let mut answer = answer.into_bytes();
        answer.extend_from_slice(body);
        self.write(&answer)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.get_mut().write_all(bytes)?;
        self.stream.get_mut().flush()
    }

    /// Reads on until the other side has had enough.
    pub(crate) fn wait_for_end(&mut self) {
        drop(std::io::copy(&mut self.stream, &mut std::io::sink()));
    }

    /// Ends the connection with a reset, once the socket is dropped.
    pub(crate) fn reset(&self) -> Result<()> {
        socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO))
    }
}
