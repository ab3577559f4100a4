//! Reads the PROXY protocol header that stands before the first request.

use std::io;
use std::net::IpAddr;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt;

use super::progress::Progress;
use crate::source::proxy::{self, Parsed, ProxyError};

/// A balancer's usual header, and with it the first bytes of a request.
const USUAL: usize = 512;

/// Why a connection that should begin with a header does not.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeaderError {
    /// Also a probe that only connects: nothing to tell anybody.
    #[error("the peer closed before the header was complete")]
    Closed { after_bytes: usize },
    #[error("the peer sent something else")]
    Refused(#[source] ProxyError),
    #[error("the connection broke")]
    Io(#[from] io::Error),
}

/// The address the header names, if any, and what was read behind it. Bounded, because the
/// parser refuses before the header grows large.
pub(super) async fn read_header(
    stream: &mut (impl AsyncReadExt + Unpin),
    progress: &Progress,
) -> Result<(Option<IpAddr>, Bytes), HeaderError> {
    let mut buf = BytesMut::with_capacity(USUAL);
    loop {
        if stream.read_buf(&mut buf).await? == 0 {
            let after_bytes = buf.len();
            return Err(HeaderError::Closed { after_bytes });
        }
        progress.arrived();
        if let Parsed::Done { source, consumed } =
            proxy::parse(&buf).map_err(HeaderError::Refused)?
        {
            progress.restart();
            buf.advance(consumed);
            return Ok((source, buf.freeze()));
        }
    }
}
