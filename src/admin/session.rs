//! A session of the console: a cookie that says until when, sealed with the admin token.
//!
//! Nothing is kept of it. Whichever receiver knows the token takes the cookie, also after a restart,
//! and none does once the token is another one.

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use http::header;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::event::hex;

/// How long a session lasts.
const LIFETIME: SignedDuration = SignedDuration::from_hours(12);

const NAME: &str = "flashduty_session";

/// How many cookies of that name are looked at. A browser sends one, and those that another host of the same
/// site may have set for this one.
const MOST: usize = 4;

/// Keeps the key apart from anything else that may ever be derived from the token.
const LABEL: &[u8] = b"flashduty-receiver: session of the console, 1";

/// The `Set-Cookie` that begins a session; `secure` where the browser came over TLS.
pub(super) fn begin(token: &SecretString, now: Timestamp, secure: bool) -> String {
    let until = now.as_second().saturating_add(LIFETIME.as_secs());
    let value = format!("{until}.{}", seal(token, until));
    cookie(&value, LIFETIME.as_secs(), secure)
}

/// The `Set-Cookie` that ends it in the browser.
pub(super) fn end(secure: bool) -> String {
    cookie("", 0, secure)
}

/// Whether a request with these headers belongs to a session that lasts.
pub(super) fn lasts(token: &SecretString, headers: &HeaderMap, now: Timestamp) -> bool {
    let cookies = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(';'));
    let sessions = cookies.filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == NAME).then_some(value)
    });
    // A head has room for thousands, and judging one takes two hashes.
    sessions
        .take(MOST)
        .any(|value| is_sealed(token, value, now))
}

fn is_sealed(token: &SecretString, value: &str, now: Timestamp) -> bool {
    let Some((until, given)) = value.split_once('.') else {
        return false;
    };
    let Ok(until) = until.parse::<i64>() else {
        return false;
    };
    let wanted = seal(token, until);
    let genuine: bool = wanted.as_bytes().ct_eq(given.as_bytes()).into();
    genuine && now.as_second() < until
}

fn seal(token: &SecretString, until: i64) -> String {
    let key = mac(token.expose_secret().as_bytes(), LABEL);
    hex(&mac(&key, until.to_string().as_bytes()))
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// No script can read it, and no page of another site makes a browser send it.
fn cookie(value: &str, seconds: i64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{NAME}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_777_888_800 + seconds).unwrap()
    }

    fn token(text: &str) -> SecretString {
        SecretString::from(text)
    }

    /// The cookie's name and value, as a browser sends it back.
    fn sent_back(set: &str) -> String {
        set.split(';').next().unwrap().to_owned()
    }

    fn is_taken(token_text: &str, cookie: &str, now: Timestamp) -> bool {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(cookie).unwrap();
        headers.insert(header::COOKIE, value);
        lasts(&token(token_text), &headers, now)
    }

    #[test]
    fn a_cookie_is_taken_for_twelve_hours_by_whoever_knows_the_token() {
        let cookie = sent_back(&begin(&token("s3cret"), at(0), false));
        let hours = 12 * 3600;
        assert!(is_taken("s3cret", &cookie, at(0)));
        assert!(is_taken("s3cret", &cookie, at(hours - 1)));
        assert!(!is_taken("s3cret", &cookie, at(hours)), "expired");
        assert!(!is_taken("s3cret2", &cookie, at(0)), "another token");
        assert!(!is_taken("", &cookie, at(0)), "no token");
        assert!(!cookie.contains("s3cret"), "{cookie}");
    }

    #[test]
    fn a_cookie_that_was_tampered_with_is_not_taken() {
        let cookie = sent_back(&begin(&token("s3cret"), at(0), false));
        let (name, value) = cookie.split_once('=').unwrap();
        let (until, seal) = value.split_once('.').unwrap();
        let later = until.parse::<i64>().unwrap() + 1;
        for value in [
            format!("{later}.{seal}"),
            format!("{until}.{}", seal.to_uppercase()),
            format!("{until}{seal}"),
            format!("{until}.{seal}.{seal}"),
            format!(".{seal}"),
            format!("{until}."),
            format!("x.{seal}"),
            String::new(),
        ] {
            let forged = format!("{name}={value}");
            assert!(!is_taken("s3cret", &forged, at(0)), "{forged}");
        }
        let renamed = format!("flashduty={value}");
        assert!(!is_taken("s3cret", &renamed, at(0)), "{renamed}");
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let cookie = sent_back(&begin(&token("s3cret"), at(0), false));
        for sent in [
            format!("a=b; {cookie}; c=d"),
            format!("flashduty_session=old.cookie;{cookie}"),
            format!("odd; =;{cookie}"),
        ] {
            assert!(is_taken("s3cret", &sent, at(0)), "{sent}");
        }
    }

    #[test]
    fn a_few_cookies_of_the_name_are_looked_at_and_no_more() {
        let cookie = sent_back(&begin(&token("s3cret"), at(0), false));
        let behind =
            |others: usize| format!("{}{cookie}", "flashduty_session=1.a; ".repeat(others));
        assert!(is_taken("s3cret", &behind(MOST - 1), at(0)));
        assert!(!is_taken("s3cret", &behind(MOST), at(0)));
    }

    #[test]
    fn a_cookie_is_out_of_reach_of_scripts_and_other_sites_and_says_when_it_ends() {
        let set = begin(&token("s3cret"), at(0), false);
        let (_, attributes) = set.split_once("; ").unwrap();
        assert_eq!(
            attributes,
            "Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"
        );
        assert!(begin(&token("s3cret"), at(0), true).ends_with("; Secure"));
        insta::assert_snapshot!(end(false), @"flashduty_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
    }
}
