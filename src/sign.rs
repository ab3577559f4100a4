//! Signatures, made at the moment of sending: a receiver refuses what was signed too long ago.
//!
//! Pure functions of secret, time and message. No secret leaves them, neither in an error nor in a
//! `Debug`.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use serde_json::value::RawValue;
use sha2::Sha256;

/// What a Standard Webhooks secret begins with when the rest is base64.
const PREFIX: &str = "whsec_";

/// Signs as [Standard Webhooks](https://www.standardwebhooks.com) says, so that a receiver can check
/// with a library it did not write.
pub struct Standard {
    keys: Vec<SecretBox<Vec<u8>>>,
}

/// Why a secret cannot sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// What stands behind `whsec_` is no base64.
    #[error("begins with whsec_, but what follows is no base64")]
    NoBase64,
    /// There is nothing to sign with.
    #[error("is empty")]
    Empty,
}

impl Standard {
    /// Signs with each of `secrets`: while one is being replaced, the receiver may know only the
    /// other. A secret that begins with `whsec_` is base64, any other is taken as it is.
    pub fn new(secrets: &[SecretString]) -> Result<Self, BadSecret> {
        let keys = secrets.iter().map(|secret| {
            let secret = secret.expose_secret();
            let key = match secret.strip_prefix(PREFIX) {
                Some(encoded) => STANDARD.decode(encoded).map_err(|_| BadSecret::NoBase64)?,
                None => secret.as_bytes().to_vec(),
            };
            if key.is_empty() {
                return Err(BadSecret::Empty);
            }
            Ok(SecretBox::new(Box::new(key)))
        });
        Ok(Self {
            keys: keys.collect::<Result<_, _>>()?,
        })
    }

    /// The three headers for one message. `id` is the same for every attempt; `now` is the attempt's.
    pub fn headers(&self, id: &str, now: Timestamp, body: &[u8]) -> [(&'static str, String); 3] {
        let seconds = now.as_second().to_string();
        let signatures: Vec<String> = self
            .keys
            .iter()
            .map(|key| {
                let parts = [id.as_bytes(), b".", seconds.as_bytes(), b".", body];
                format!("v1,{}", hmac_base64(key.expose_secret(), &parts))
            })
            .collect();
        [
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", seconds),
            ("webhook-signature", signatures.join(" ")),
        ]
    }
}

impl fmt::Debug for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Standard({} secrets)", self.keys.len())
    }
}

/// A chat robot's way to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Robot {
    /// Feishu's and Lark's: in the body.
    Feishu,
    /// DingTalk's: in the query.
    Dingtalk,
}

impl Robot {
    /// Reads the word that the key `signature` of a sink holds.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "feishu" => Some(Self::Feishu),
            "dingtalk" => Some(Self::Dingtalk),
            _ => None,
        }
    }
}

/// The most that signing adds to a body for Feishu, in bytes.
pub const FEISHU_BYTES: usize = 100;

/// A body for Feishu cannot be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is no JSON object, so that it cannot carry a signature")]
pub struct NoObject;

/// `body` with `timestamp` and `sign` in it, in place of those it may have.
///
/// What is signed is the empty message, and the key is the time in seconds, a line break and the
/// secret: the robot's own way round.
pub fn feishu_body(secret: &SecretString, now: Timestamp, body: &str) -> Result<String, NoObject> {
    let seconds = now.as_second();
    let key = format!("{seconds}\n{}", secret.expose_secret());
    let sign = hmac_base64(key.as_bytes(), &[]);
    let mut members: BTreeMap<String, &RawValue> =
        serde_json::from_str(body).map_err(|_| NoObject)?;
    members.remove("timestamp");
    members.remove("sign");
    let rest = serde_json::to_string(&members).map_err(|_| NoObject)?;
    let rest = rest.strip_prefix('{').ok_or(NoObject)?;
    let comma = if members.is_empty() { "" } else { "," };
    // Neither digits nor base64 hold anything that JSON escapes.
    Ok(format!(
        "{{\"timestamp\":\"{seconds}\",\"sign\":\"{sign}\"{comma}{rest}"
    ))
}

/// The pair that goes into DingTalk's query, ready to be put behind `?` or `&`.
///
/// The message is the time in milliseconds, a line break and the secret; the secret is the key, too.
pub fn dingtalk_query(secret: &SecretString, now: Timestamp) -> String {
    let millis = now.as_millisecond();
    let secret = secret.expose_secret().as_bytes();
    let sign = hmac_base64(secret, &[millis.to_string().as_bytes(), b"\n", secret]);
    let sign = sign
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    format!("timestamp={millis}&sign={sign}")
}

/// `url` with `pair` in its query, before a fragment.
pub fn with_query(url: &str, pair: &str) -> String {
    let (url, fragment) = match url.find('#') {
        Some(at) => url.split_at(at),
        None => (url, ""),
    };
    let joint = match url.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{url}{joint}{pair}{fragment}")
}

fn hmac_base64(key: &[u8], parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::HeaderValue;
    use standardwebhooks::Webhook;

    use super::*;

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    fn secrets(list: &[&str]) -> Vec<SecretString> {
        list.iter().map(|text| SecretString::from(*text)).collect()
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    #[test]
    fn a_known_message_has_the_known_signature() {
        let body = br#"{"email":"test@example.com","username":"test_user"}"#;
        let id = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
        let signer = Standard::new(&secrets(&[SECRET])).unwrap();
        let [sent_id, time, signature] = signer.headers(id, at(1_649_367_553_999), body);
        assert_eq!(sent_id, ("webhook-id", id.to_owned()));
        assert_eq!(time, ("webhook-timestamp", "1649367553".to_owned()));
        let expected = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";
        assert_eq!(signature, ("webhook-signature", expected.to_owned()));
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the reference implementation compares with the real time"
    )]
    fn the_reference_implementation_accepts_every_secret_while_one_is_replaced() {
        let body = "{\"title\":\"磁盘 \\\" almost full\"}".as_bytes();
        let signer = Standard::new(&secrets(&[SECRET, "a secret as it is"])).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in signer.headers("e1", Timestamp::now(), body) {
            headers.insert(name, HeaderValue::from_str(&value).unwrap());
        }
        let old = Webhook::new(SECRET).unwrap();
        let new = Webhook::from_bytes(b"a secret as it is".to_vec()).unwrap();
        assert!(old.verify(body, &headers).is_ok());
        assert!(new.verify(body, &headers).is_ok());
        assert!(new.verify(b"another body", &headers).is_err());
        let other = Webhook::from_bytes(b"a third secret".to_vec()).unwrap();
        assert!(other.verify(body, &headers).is_err());
    }

    #[test]
    fn a_secret_that_cannot_sign_is_refused_and_never_shown() {
        let bad = Standard::new(&secrets(&["whsec_not*base64"])).unwrap_err();
        assert_eq!(bad, BadSecret::NoBase64);
        assert_eq!(
            Standard::new(&secrets(&[""])).unwrap_err(),
            BadSecret::Empty
        );
        assert_eq!(
            Standard::new(&secrets(&["whsec_"])).unwrap_err(),
            BadSecret::Empty
        );
        let signer = Standard::new(&secrets(&["hunter2"])).unwrap();
        assert_eq!(
            format!("{signer:?} {bad}"),
            format!("Standard(1 secrets) {bad}")
        );
    }

    // The expected values below were computed with Python's hmac, hashlib, base64 and urllib.
    #[test]
    fn feishu_finds_time_and_signature_in_the_body() {
        let secret = SecretString::from("robot secret 1");
        let body = r#"{"msg_type":"interactive","card":{"b":1, "a":2.50}}"#;
        let signed = feishu_body(&secret, at(1_775_980_800_137), body).unwrap();
        assert_eq!(
            signed,
            r#"{"timestamp":"1775980800","sign":"z70UFwW4n4fcZh4JstEKrBEU6M8FnqtqMep2KcTcAwU=","card":{"b":1, "a":2.50},"msg_type":"interactive"}"#
        );
        assert!(signed.len() - body.len() <= FEISHU_BYTES);
        let again = feishu_body(&secret, at(1_775_980_800_137), &signed).unwrap();
        assert_eq!(again, signed, "an old signature is replaced");
        let empty = feishu_body(&secret, at(0), "{}").unwrap();
        assert!(
            serde_json::from_str::<serde_json::Value>(&empty).is_ok(),
            "{empty}"
        );
        assert_eq!(feishu_body(&secret, at(0), "[1]"), Err(NoObject));
    }

    #[test]
    fn dingtalk_finds_time_and_signature_in_the_query() {
        let secret = SecretString::from("SECb0b1c2d3e4f5");
        let pair = dingtalk_query(&secret, at(1_775_980_800_137));
        assert_eq!(
            pair,
            "timestamp=1775980800137&sign=A4750xCCEvRh4mkVAloRd7oGVkqporFx5IjLTuZ%2B%2BwI%3D"
        );
        let url = |url| with_query(url, "a=1");
        assert_eq!(url("https://h/p"), "https://h/p?a=1");
        assert_eq!(url("https://h/p?x=2#f"), "https://h/p?x=2&a=1#f");
        assert_eq!(url("https://h/p?"), "https://h/p?a=1");
    }
}
