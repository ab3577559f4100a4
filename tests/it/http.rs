//! A blocking HTTP/1.1 client of a few lines: what a test sends is exactly what is written here.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// One of the sender's addresses, allowed by default.
pub(crate) const SENDER: &str = "47.94.95.118";

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The head's lines, without the status line, as they came.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The `outcome` of the body.
    pub(crate) fn outcome(&self) -> String {
        self.json()["outcome"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// A connection that is kept alive.
pub(crate) struct Client<S = TcpStream> {
    stream: BufReader<S>,
}

impl Client {
    /// Connects; reads and writes give up after `timeout`.
    pub(crate) fn connect(address: SocketAddr, timeout: Duration) -> io::Result<Self> {
        Self::on(TcpStream::connect_timeout(&address, timeout)?, timeout)
    }

    /// Connects from `source`, one of this machine's addresses.
    pub(crate) fn connect_from(
        source: IpAddr,
        address: SocketAddr,
        timeout: Duration,
    ) -> io::Result<Self> {
        Self::on(connect_from(source, address, timeout)?, timeout)
    }

    fn on(stream: TcpStream, timeout: Duration) -> io::Result<Self> {
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }

    /// Whether the other side has closed by now, as far as has been heard.
    pub(crate) fn has_been_closed(&self) -> io::Result<bool> {
        let stream = self.stream.get_ref();
        stream.set_nonblocking(true)?;
        let heard = stream.peek(&mut [0]);
        stream.set_nonblocking(false)?;
        Ok(!matches!(heard, Err(error) if error.kind() == io::ErrorKind::WouldBlock))
    }
}

impl<S: io::Read + io::Write> Client<S> {
    /// Over a stream that is there already.
    pub(crate) fn over(stream: S) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// What it goes over.
    pub(crate) fn stream(&self) -> &S {
        self.stream.get_ref()
    }

    /// Sends `bytes` as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Reads one answer, body and all; a HEAD's answer has none.
    pub(crate) fn answer(&mut self, of_head: bool) -> io::Result<Answer> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|word| word.trim().parse().ok())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, line.clone()))?;
        let mut head = String::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            head.push_str(&line);
        }
        let mut answer = Answer {
            status,
            head,
            body: Vec::new(),
        };
        let length = answer
            .header("content-length")
            .and_then(|value| value.parse().ok());
        match length {
            Some(length) if !of_head => {
                answer.body = vec![0; length];
                self.stream.read_exact(&mut answer.body)?;
            }
            _ => {}
        }
        Ok(answer)
    }

    /// Sends a push and reads its answer.
    pub(crate) fn push(&mut self, path: &str, body: &[u8]) -> io::Result<Answer> {
        self.push_with(path, &format!("X-Forwarded-For: {SENDER}\r\n"), body)
    }

    /// The same with the header lines given, each with its CRLF.
    pub(crate) fn push_with(
        &mut self,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n{headers}\
             Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.send(&request)?;
        self.answer(false)
    }

    /// Sends a GET and reads its answer.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
        self.answer(false)
    }

    /// Whether the other side has closed: the next read finds the end.
    pub(crate) fn is_closed(&mut self) -> bool {
        matches!(self.stream.fill_buf(), Ok(rest) if rest.is_empty())
    }
}

/// A connection whose near end is `source`.
pub(crate) fn connect_from(
    source: IpAddr,
    address: SocketAddr,
    timeout: Duration,
) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect_timeout(&address.into(), timeout)?;
    Ok(socket.into())
}
