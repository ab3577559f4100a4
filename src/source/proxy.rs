//! Reads the PROXY protocol header, versions 1 and 2, that a load balancer puts before the first
//! request of a connection.
//!
//! The reader is asked again with a longer buffer until it is done, so three things must hold: it
//! never asks for more than [`MAX_HEADER_BYTES`], bytes that no continuation can mend are refused
//! as soon as they are there, and an answer once given does not change when more bytes follow.
//! Whether the peer may send such a header is not decided here.

use std::net::IpAddr;

use proxy_header::{ParseConfig, Protocol, ProxyHeader};

/// The most bytes a header may take. Version 2 could announce 65,551, but real ones (addresses,
/// TLS facts, a cloud's endpoint id) stay under a few hundred.
pub const MAX_HEADER_BYTES: usize = 4096;

/// The most bytes of a version 1 line, with its CR LF, as the specification counts them.
const V1_MAX_BYTES: usize = 107;

const V1_TCP4: &[u8] = b"PROXY TCP4 ";
const V1_TCP6: &[u8] = b"PROXY TCP6 ";
const V1_UNKNOWN: &[u8] = b"PROXY UNKNOWN";
/// What the three lines above have in common; a byte that differs here is no PROXY header at all.
const V1_COMMON_BYTES: usize = 6;

const V2_SIGNATURE: &[u8] = b"\r\n\r\n\x00\r\nQUIT\n";

/// What a proxy says before a request of its own, such as a health check: it names nobody.
pub const LOCAL: &[u8] = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00";

/// Signature, version and command, family, length.
const V2_FIXED_BYTES: usize = 16;

/// How far a buffer got the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// All bytes so far are good; read more and ask again with the whole buffer.
    Incomplete,
    /// The header ends after `consumed` bytes; the request begins there.
    Done {
        /// The address the proxy accepted the connection from, canonical. `None` when it does not
        /// say: `UNKNOWN`, `LOCAL` (its own health check), or a Unix socket.
        source: Option<IpAddr>,
        /// Length of the header in bytes.
        consumed: usize,
    },
}

/// Why a connection cannot be used; every variant means closing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// The bytes are something else, such as a request line.
    #[error(
        "connection does not begin with a PROXY header: let the load balancer send one, or set source.proxy_protocol = \"off\""
    )]
    Missing,
    /// It began like a header and went wrong.
    #[error("PROXY header of version {version} is malformed")]
    Malformed {
        /// 1 (text) or 2 (binary).
        version: u8,
    },
    /// It would be longer than version 1 allows, or than [`MAX_HEADER_BYTES`].
    #[error("PROXY header of version {version} is too long")]
    TooLong {
        /// 1 (text) or 2 (binary).
        version: u8,
    },
}

/// Reads the header at the start of `buf`, which holds all bytes of the connection so far.
pub fn parse(buf: &[u8]) -> Result<Parsed, ProxyError> {
    match buf.first() {
        None => Ok(Parsed::Incomplete),
        Some(b'P') => parse_v1(buf),
        Some(b'\r') => parse_v2(buf),
        Some(_) => Err(ProxyError::Missing),
    }
}

fn parse_v1(buf: &[u8]) -> Result<Parsed, ProxyError> {
    let line = &buf[..buf.len().min(V1_MAX_BYTES)];
    check_v1(line)?;
    match line.iter().position(|&byte| byte == b'\n') {
        Some(end) => decode(&line[..=end], 1),
        None if line.len() == V1_MAX_BYTES => Err(ProxyError::TooLong { version: 1 }),
        None => Ok(Parsed::Incomplete),
    }
}

/// Refuses the line at its first byte that cannot belong there. The decoder would wait for the
/// whole line, and does not look at the byte after `PROXY`.
fn check_v1(line: &[u8]) -> Result<(), ProxyError> {
    let malformed = Err(ProxyError::Malformed { version: 1 });
    let known = [V1_TCP4, V1_TCP6, V1_UNKNOWN]
        .into_iter()
        .find(|form| line.iter().zip(*form).all(|(byte, want)| byte == want));
    let Some(form) = known else {
        let common = &V1_TCP4[..V1_COMMON_BYTES];
        return if line.starts_with(common) {
            malformed
        } else {
            Err(ProxyError::Missing)
        };
    };
    let rest = line.get(form.len()..).unwrap_or_default();
    let unknown = form == V1_UNKNOWN;
    if unknown && !matches!(rest.first(), None | Some(b' ' | b'\r')) {
        return malformed;
    }
    let mut after_cr = false;
    for &byte in rest {
        match byte {
            b'\n' if after_cr => return Ok(()),
            _ if after_cr => return malformed,
            b'\r' => after_cr = true,
            b'\n' => return malformed,
            // The specification: what follows UNKNOWN is to be ignored.
            _ if unknown => {}
            b' ' | b'.' | b':' | b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' => {}
            _ => return malformed,
        }
    }
    Ok(())
}

fn parse_v2(buf: &[u8]) -> Result<Parsed, ProxyError> {
    let malformed = Err(ProxyError::Malformed { version: 2 });
    if buf
        .iter()
        .zip(V2_SIGNATURE)
        .any(|(byte, want)| byte != want)
    {
        return Err(ProxyError::Missing);
    }
    let local = match buf.get(12) {
        None => return Ok(Parsed::Incomplete),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return malformed,
    };
    // The addresses' length by family and transport. Of a LOCAL header all that follows the
    // command is to be ignored.
    let least: u16 = match buf.get(13) {
        None => return Ok(Parsed::Incomplete),
        Some(_) if local => 0,
        Some(0x00) => 0,
        Some(0x11) => 12,
        Some(0x21) => 36,
        Some(0x31) => 216,
        Some(_) => return malformed,
    };
    let (Some(&high), Some(&low)) = (buf.get(14), buf.get(15)) else {
        return Ok(Parsed::Incomplete);
    };
    let length = u16::from_be_bytes([high, low]);
    if length < least {
        return malformed;
    }
    let total = V2_FIXED_BYTES + usize::from(length);
    if total > MAX_HEADER_BYTES {
        return Err(ProxyError::TooLong { version: 2 });
    }
    match buf.get(..total) {
        None => Ok(Parsed::Incomplete),
        Some(_) if local => Ok(Parsed::Done {
            source: None,
            consumed: total,
        }),
        Some(header) => decode(header, 2),
    }
}

/// Decodes `header`, which is known to be whole: wanting more is an error too.
fn decode(header: &[u8], version: u8) -> Result<Parsed, ProxyError> {
    let config = ParseConfig {
        include_tlvs: false,
        allow_v1: version == 1,
        allow_v2: version == 2,
    };
    let malformed = ProxyError::Malformed { version };
    let (decoded, consumed) = ProxyHeader::parse(header, config).map_err(|_| malformed)?;
    let source = match decoded.proxied_address() {
        Some(address) if address.protocol == Protocol::Stream => {
            Some(address.source.ip().to_canonical())
        }
        Some(_) => return Err(malformed),
        None => None,
    };
    Ok(Parsed::Done { source, consumed })
}
