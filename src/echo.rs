//! What somebody else says, without the secrets that it repeats.
//!
//! Whoever is sent a secret may send it back: a page that does not know a path names it, and a server may
//! quote the header that it does not like.

use std::cmp::Reverse;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use reqwest::Url;

/// What stands in the place of a secret.
const BLOT: &str = "***";
/// What is shorter is no secret, such as a number, and blotting it out would hide the rest.
const SHORTEST: usize = 6;
/// A part of a URL that is as long as this may be the secret in it.
const TELLING: usize = 16;

/// The secrets that a request carries, in the forms in which its answer may repeat them.
pub struct Secrets(Vec<String>);

impl Secrets {
    /// Those of `url`, of which nothing may be shown but its host.
    pub fn of_url(url: &Url) -> Self {
        let mut secrets = Self(Vec::new());
        if let Some(password) = url.password() {
            secrets.add(password);
            // As it is sent.
            secrets.add(&STANDARD.encode(format!("{}:{password}", url.username())));
        }
        let (path, query) = (url.path(), url.query().unwrap_or_default());
        let target = format!("{path}?{query}");
        for form in [target.as_str(), path, query] {
            secrets.add(form);
        }
        let values = query.split('&').filter_map(|pair| pair.split_once('='));
        let parts = path.split('/').chain(values.map(|(_name, value)| value));
        for part in parts.filter(|part| part.len() >= TELLING) {
            secrets.add(part);
        }
        for (_name, value) in url.query_pairs() {
            if value.len() >= TELLING {
                secrets.add(&value);
            }
        }
        secrets
    }

    /// And that of a header.
    pub fn add_header(&mut self, name: &HeaderName, value: &str) {
        if [ACCEPT, CONTENT_TYPE, USER_AGENT].contains(name) {
            return;
        }
        self.add(value);
        // Behind a word such as `Bearer`.
        if let Some((_, last)) = value.rsplit_once(' ') {
            self.add(last);
        }
    }

    /// `text` without them.
    pub fn blot_out(&self, text: &str) -> String {
        let mut forms: Vec<&str> = self.0.iter().map(String::as_str).collect();
        // A part of it first would leave the rest of it there.
        forms.sort_by_key(|form| Reverse(form.len()));
        let blotted = |text: String, form: &str| text.replace(form, BLOT);
        forms.into_iter().fold(text.to_owned(), blotted)
    }

    fn add(&mut self, form: &str) {
        if form.len() < SHORTEST {
            return;
        }
        self.0.push(form.to_owned());
        if form.contains('/') {
            // Some write JSON like this.
            self.0.push(form.replace('/', "\\/"));
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;

    use super::*;

    fn secrets() -> Secrets {
        let url = "https://me:pass-word@h.example/services/T0/canary-canary-canary?\
                   access_token=canary%2Fcanary%2Fcanary&at=1&n=1700000000";
        let mut secrets = Secrets::of_url(&Url::parse(url).unwrap());
        secrets.add_header(&AUTHORIZATION, "Bearer canary-2");
        secrets.add_header(&HeaderName::from_static("x-key"), "canary/3+==");
        secrets.add_header(&CONTENT_TYPE, "application/json");
        secrets.add_header(&HeaderName::from_static("x-team"), "ops");
        secrets
    }

    #[test]
    fn whatever_is_repeated_of_a_request_is_blotted_out_and_the_rest_is_kept() {
        for (said, kept) in [
            (
                "Cannot POST /services/T0/canary-canary-canary",
                "Cannot POST ***",
            ),
            (
                "no /services/T0/canary-canary-canary?access_token=canary%2Fcanary%2Fcanary&at=1&n=1700000000!",
                "no ***!",
            ),
            (
                r#"{"path":"\/services\/T0\/canary-canary-canary"}"#,
                r#"{"path":"***"}"#,
            ),
            ("no hook canary-canary-canary", "no hook ***"),
            ("no token canary/canary/canary", "no token ***"),
            ("no token canary%2Fcanary%2Fcanary", "no token ***"),
            ("who is Bearer canary-2?", "who is ***?"),
            ("no canary-2", "no ***"),
            (
                r#"{"error":"canary\/3+== is no key"}"#,
                r#"{"error":"*** is no key"}"#,
            ),
            (
                r#"{"error":"no canary\/canary\/canary"}"#,
                r#"{"error":"no ***"}"#,
            ),
            ("me:pass-word", "me:***"),
            ("Basic bWU6cGFzcy13b3Jk", "Basic ***"),
            (
                "ops wants application/json of services at 1700000000",
                "ops wants application/json of services at 1700000000",
            ),
        ] {
            assert_eq!(secrets().blot_out(said), kept);
        }
    }

    #[test]
    fn a_secret_is_blotted_out_whole_where_another_one_is_a_part_of_it() {
        let mut secrets = Secrets::of_url(&Url::parse("http://h.example").unwrap());
        assert_eq!(secrets.blot_out("http://h.example/"), "http://h.example/");
        for value in ["canary", "canary-and-more"] {
            secrets.add_header(&HeaderName::from_static("x-key"), value);
        }
        assert_eq!(secrets.blot_out("canary-and-more, canary"), "***, ***");
    }
}
