//! Addresses of servers: what may be shown of them, and whether they are any.

use ::http::Uri;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serializer;

use super::super::secret::HIDDEN;

/// Writes scheme and host of a URL, or of each in a list with commas: all that may be shown.
pub(in crate::config) fn serialize<S: Serializer>(
    url: &Option<SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let shown = url.as_ref().map(|url| {
        let urls: Vec<String> = url.expose_secret().split(',').map(shown).collect();
        urls.join(",")
    });
    serializer.serialize_str(shown.as_deref().unwrap_or(HIDDEN))
}

/// What does not look like a scheme and a host is not shown at all.
fn shown(url: &str) -> String {
    let Some((scheme, behind)) = url.trim().split_once("://") else {
        return HIDDEN.to_owned();
    };
    let host = behind
        .split(['/', '?', '#', '\\'])
        .next()
        .unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    match format!("{scheme}://{host}").parse::<Uri>() {
        Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) => {
            format!("{scheme}://{host}/{HIDDEN}")
        }
        _ => HIDDEN.to_owned(),
    }
}

/// Whether there is at least one server, and each has one of `schemes` and a host.
pub(in crate::config) fn check_servers<'a>(
    servers: impl Iterator<Item = &'a str>,
    schemes: &[&str],
) -> Result<(), String> {
    let mut any = false;
    for server in servers {
        any = true;
        let uri: Uri = server.trim().parse().map_err(|_| "is no URL".to_owned())?;
        if !uri
            .scheme_str()
            .is_some_and(|scheme| schemes.contains(&scheme))
        {
            return Err(format!(
                "does not begin with {}://",
                schemes.join(":// or ")
            ));
        }
        if uri.host().is_none_or(str::is_empty) {
            return Err("has no host".to_owned());
        }
    }
    if any {
        Ok(())
    } else {
        Err("is missing".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_only_scheme_and_host_are_shown() {
        for (url, expected) in [
            (
                "https://h.example:8443/secret?token=secret",
                "https://h.example:8443/***",
            ),
            ("https://h", "https://h/***"),
            ("redis://user:secret@h:6379/0", "redis://h:6379/***"),
            ("https://h?secret", "https://h/***"),
            ("secret", "***"),
            ("https://", "***"),
            ("https://sec ret", "***"),
        ] {
            assert_eq!(shown(url), expected, "{url}");
        }
    }
}
