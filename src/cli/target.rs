//! Where requests go: a plain `http://` URL.

use anyhow::{Context as _, bail};
use http::Uri;

/// A parsed URL, in the parts a request and a socket need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Host and port as the URL gave them, for the `Host` header.
    pub authority: String,
    /// Host and port to connect to.
    pub address: String,
    /// Path and query.
    pub path: String,
}

impl Target {
    /// Takes an `http://` URL; one without a path means `default_path`.
    ///
    /// # Errors
    /// When it is no such URL, with what to write instead.
    pub fn parse(url: &str, default_path: &str) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("{url} is not a URL"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => bail!(
                "{url}: https is not spoken here; name the receiver's own port behind whatever ends \
                 TLS, such as http://127.0.0.1:8080{default_path}"
            ),
            _ => bail!("{url}: give a whole URL, such as http://127.0.0.1:8080{default_path}"),
        }
        let authority = uri
            .authority()
            .with_context(|| format!("{url} names no host"))?;
        if authority.as_str().contains('@') {
            bail!("a user and password in the URL are not sent; a secret goes into a header");
        }
        let path = match uri.path_and_query().map(|path| path.as_str()) {
            None | Some("" | "/") => default_path,
            Some(path) => path,
        };
        Ok(Self {
            authority: authority.to_string(),
            address: format!(
                "{}:{}",
                authority.host(),
                authority.port_u16().unwrap_or(80)
            ),
            path: path.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gives_host_address_and_path() {
        let target = |url| Target::parse(url, "/webhook").unwrap();
        let full = target("http://[::1]:8080/webhook/a?team=b");
        assert_eq!(full.authority, "[::1]:8080");
        assert_eq!(full.address, "[::1]:8080");
        assert_eq!(full.path, "/webhook/a?team=b");
        assert_eq!(target("http://receiver").address, "receiver:80");
        assert_eq!(target("http://receiver").path, "/webhook");
        assert_eq!(target("http://receiver/").path, "/webhook");
    }

    #[test]
    fn other_urls_are_refused_with_what_to_write() {
        let error = |url| Target::parse(url, "/webhook").unwrap_err().to_string();
        insta::assert_snapshot!(error("https://receiver/webhook"), @"https://receiver/webhook: https is not spoken here; name the receiver's own port behind whatever ends TLS, such as http://127.0.0.1:8080/webhook");
        insta::assert_snapshot!(error("127.0.0.1:8080"), @"127.0.0.1:8080: give a whole URL, such as http://127.0.0.1:8080/webhook");
        assert!(!error("http://u:hunter2@receiver/").contains("hunter2"));
    }
}
