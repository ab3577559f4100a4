//! What a certificate says of itself: whose it is, who signed it, and how long it is valid.
//!
//! Nothing is decided by it but what people are told, and whether a chain is in order: signatures
//! are the business of those who verify them. What cannot be read gives `None` and never panics.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// Stands before the serial number, but for certificates of version 1.
const VERSION: u8 = 0xa0;

/// 2.5.4.3, the common name.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// As long as a common name may be.
const LONGEST_NAME: usize = 64;

/// The parts of a certificate that people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The subject's common name, or else `serial ` and the number.
    pub name: String,
    /// It is not valid before.
    pub not_before: Timestamp,
    /// It is not valid after.
    pub not_after: Timestamp,
    subject: Vec<u8>,
    issuer: Vec<u8>,
}

impl Certificate {
    /// Reads a certificate in DER (RFC 5280, section 4.1).
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let signed = Der(der).content_of(SEQUENCE)?;
        let mut fields = Der(Der(signed).content_of(SEQUENCE)?);
        let serial = match fields.element()? {
            (VERSION, _) => fields.content_of(INTEGER)?,
            (INTEGER, serial) => serial,
            _ => return None,
        };
        let _algorithm = fields.content_of(SEQUENCE)?;
        let issuer = fields.content_of(SEQUENCE)?;
        let mut validity = Der(fields.content_of(SEQUENCE)?);
        let not_before = time(validity.element()?)?;
        let not_after = time(validity.element()?)?;
        let subject = fields.content_of(SEQUENCE)?;
        let name = common_name(subject);
        Some(Self {
            name: name.unwrap_or_else(|| format!("serial {}", crate::event::hex(serial))),
            not_before,
            not_after,
            subject: subject.to_vec(),
            issuer: issuer.to_vec(),
        })
    }

    /// Whether `authority` has the name of who signed this one.
    pub(super) fn is_signed_by(&self, authority: &Self) -> bool {
        self.issuer == authority.subject
    }
}

/// What is left of DER (ITU-T X.690): elements, each with a tag, a length and a content.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element's tag and content.
    fn element(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let longer = |length: usize, &byte: &u8| (length << 8) | usize::from(byte);
                (bytes.iter().fold(0, longer), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The next element's content, if its tag is this one.
    fn content_of(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, content) = self.element()?;
        (found == tag).then_some(content)
    }
}

fn time((tag, text): (u8, &[u8])) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest): (i16, &str) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            // RFC 5280, section 4.1.2.5.1.
            (year + if year < 50 { 2000 } else { 1900 }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |index: usize| -> Option<i8> { rest.get(2 * index..2 * index + 2)?.parse().ok() };
    let time = DateTime::new(year, part(0)?, part(1)?, part(2)?, part(3)?, part(4)?, 0).ok()?;
    // "Never" is the last second of the year 9999, which is more than a timestamp holds.
    Some(TimeZone::UTC.to_timestamp(time).unwrap_or(Timestamp::MAX))
}

/// The last one, which is the most specific.
fn common_name(subject: &[u8]) -> Option<String> {
    let mut names = Der(subject);
    let mut found = None;
    while let Some(set) = names.content_of(SET) {
        let mut attribute = Der(Der(set).content_of(SEQUENCE)?);
        let kind = attribute.content_of(OBJECT_IDENTIFIER)?;
        let (_, value) = attribute.element()?;
        if kind == COMMON_NAME {
            found = Some(value);
        }
    }
    let text = String::from_utf8_lossy(found?);
    let plain = text.chars().filter(|at| !at.is_control());
    let name: String = plain.take(LONGEST_NAME).collect();
    (!name.trim().is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn made(common_name: Option<&str>) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = common_name {
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, name);
        }
        params.serial_number = Some(rcgen::SerialNumber::from(vec![0x0a, 0xbc]));
        params.not_before = rcgen::date_time_ymd(2024, 2, 29);
        params.not_after = rcgen::date_time_ymd(2060, 12, 31);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_says_whose_it_is_and_how_long_it_is_valid() {
        let read = Certificate::read(&made(Some("receiver\u{1b}[31m"))).unwrap();
        assert_eq!(read.name, "receiver[31m");
        assert_eq!(read.not_before.to_string(), "2024-02-29T00:00:00Z");
        assert_eq!(read.not_after.to_string(), "2060-12-31T00:00:00Z");
        assert!(read.is_signed_by(&read), "by itself");
        let nameless = Certificate::read(&made(None)).unwrap();
        assert_eq!(nameless.name, "serial 0abc");
        assert!(!nameless.is_signed_by(&read));
    }

    #[test]
    fn times_are_read_in_both_forms_and_nonsense_is_none() {
        let read = |tag, text: &str| time((tag, text.as_bytes())).map(|time| time.to_string());
        let when = |text: &str| Some(text.to_owned());
        assert_eq!(
            read(UTC_TIME, "491231235959Z"),
            when("2049-12-31T23:59:59Z")
        );
        assert_eq!(
            read(UTC_TIME, "500101000000Z"),
            when("1950-01-01T00:00:00Z")
        );
        let never = time((GENERALIZED_TIME, b"99991231235959Z"));
        assert_eq!(never, Some(Timestamp::MAX));
        for text in [
            "",
            "Z",
            "4912312359Z",
            "491331235959Z",
            "49123123595\u{e9}Z",
        ] {
            assert_eq!(read(UTC_TIME, text), None, "{text}");
        }
        assert_eq!(read(SEQUENCE, "491231235959Z"), None);
    }

    #[test]
    fn a_cut_certificate_is_none() {
        let whole = made(Some("receiver"));
        for length in 0..whole.len() {
            assert_eq!(Certificate::read(&whole[..length]), None, "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_not_without_a_panic(bytes in any::<Vec<u8>>()) {
            let _read = Certificate::read(&bytes);
        }

        #[test]
        fn any_byte_of_a_certificate_may_be_another(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = made(Some("receiver"));
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _read = Certificate::read(&bytes);
        }
    }
}
