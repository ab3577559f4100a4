//! Reads forwarding headers from the right: the end that the nearest proxy wrote.
//!
//! Each reader yields one address per element and parses only the elements it is asked for, so
//! nothing that a client put on the left can change what stands right of it. The boundary between
//! two header instances is a boundary between elements. Nothing is allocated.

pub(super) mod address;
mod rfc7239;

use std::fmt;
use std::net::IpAddr;

use http::HeaderMap;

pub(super) use self::address::Fault;
pub(super) use self::rfc7239::forwarded;

/// An element that was reached and names no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable<'h> {
    /// The element, or where its bounds are unclear, what is left of the header instance.
    pub(super) text: &'h [u8],
    pub(super) fault: Fault,
}

/// The addresses of `X-Forwarded-For`, a list without quoting.
pub(super) fn x_forwarded_for(
    headers: &HeaderMap,
) -> impl Iterator<Item = Result<IpAddr, Unreadable<'_>>> {
    let instances = headers.get_all("x-forwarded-for").iter().rev();
    let elements = instances.flat_map(|value| value.as_bytes().rsplit(|&byte| byte == b','));
    elements.map(plain)
}

/// The address of `X-Real-IP`, which is one and comes once: of two, the left one may be the
/// client's own invention and nothing says which.
pub(super) fn x_real_ip(
    headers: &HeaderMap,
) -> impl Iterator<Item = Result<IpAddr, Unreadable<'_>>> {
    let mut instances = headers.get_all("x-real-ip").iter();
    let (last, more) = (instances.next_back(), instances.next().is_some());
    last.into_iter().map(move |value| {
        if more {
            let (text, fault) = (value.as_bytes(), Fault::Repeated);
            return Err(Unreadable { text, fault });
        }
        plain(value.as_bytes())
    })
}

fn plain(element: &[u8]) -> Result<IpAddr, Unreadable<'_>> {
    let text = element.trim_ascii();
    address::plain(text).map_err(|fault| Unreadable { text, fault })
}

impl fmt::Display for Unreadable<'_> {
    /// The end of the text, escaped and short: a client may have chosen it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_BYTES: usize = 48;
        let cut = self.text.len().saturating_sub(SHOWN_BYTES);
        let ellipsis = if cut > 0 { "..." } else { "" };
        let tail = self.text[cut..].escape_ascii();
        write!(f, "{ellipsis}\"{tail}\" {}", self.fault)
    }
}
