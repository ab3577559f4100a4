//! From the keys of an http sink to what it is made of; all that is wrong is found here.

use ::http::{HeaderValue, Method, Uri};
use secrecy::{ExposeSecret as _, SecretString};

use super::super::check::{Fault, Faults, is_pointer};
use super::super::delivery::Delivery;
use super::super::trust;
use super::{Document, Format, HttpSink, RobotName, condition};
use crate::filter::Expression;
use crate::sign::{Robot, Standard};
use crate::sink::http::{Body, HttpOptions, Signature};
use crate::template::{self, Kind, Template, TemplateError, UrlPath, UrlTemplate};

/// Nobody who asks for more time than this is believed.
const LONGEST_RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(60 * 60);

/// The methods a sink may use.
const METHODS: [&str; 5] = ["POST", "PUT", "PATCH", "DELETE", "GET"];

/// Headers that say what the sink itself knows best.
const OWN_HEADERS: [&str; 6] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "idempotency-key",
    "upgrade",
];

impl HttpSink {
    /// What the sink is made of.
    ///
    /// # Errors
    /// Everything that is wrong with its keys.
    pub fn options(&self, delivery: &Delivery) -> Result<HttpOptions, Vec<Fault>> {
        let mut faults = Faults::default();
        let method = faults.take("method", self.method());
        let url = faults.take("url", self.url());
        let path = faults.take("path", self.path());
        let body = faults.take("template", self.body());
        let signature = faults.take("signing_secret", self.signature());
        let success = faults.take("success", condition::compile_answer(self.success.source()));
        let retry_on = faults.take(
            "retry_on",
            condition::compile_answer(self.retry_on.source()),
        );
        let skip_when = faults.take("skip_when", self.skip_when());
        let proxy = faults.take("proxy", self.proxy());
        let ca = faults.take("ca_file", self.ca());
        self.check_headers(&mut faults);
        self.check_remember(&mut faults);
        if !template::is_timezone(&self.timezone) {
            faults.add("timezone", "is no time zone that is known here");
        }
        let made = (|| {
            let url = match path? {
                Some(path) => url?.with_path(path),
                None => url?,
            };
            Some(HttpOptions {
                method: method?,
                url,
                headers: self.headers.clone(),
                body: body?,
                signature: signature?,
                max_bytes: self.max_bytes,
                success: success?,
                retry_on: retry_on?,
                pause: self.pause,
                longest_retry_after: LONGEST_RETRY_AFTER,
                proxy: proxy?,
                ca: ca?,
                allow_private: self.allow_private,
                timeout: delivery.timeout.unwrap_or_default(),
                remember: self.remember.clone().into_iter().collect(),
                skip_when: skip_when?,
                timezone: self.timezone.clone(),
                idle_connections: delivery.concurrency.unwrap_or(1),
            })
        })();
        match made {
            Some(options) if faults.is_empty() => Ok(options),
            _ => Err(faults.into_list()),
        }
    }

    fn method(&self) -> Result<Template, String> {
        let method = Template::compile_as(Kind::Text, "method", &self.method)
            .map_err(|error| told("method", &error))?;
        known_names(&method)?;
        let is_template = self.method.contains("{{") || self.method.contains("{%");
        let is_method = METHODS.contains(&self.method.as_str());
        if is_template || is_method && self.method.parse::<Method>().is_ok() {
            return Ok(method);
        }
        Err("is no method that is used here".to_owned())
    }

    fn url(&self) -> Result<UrlTemplate, String> {
        let url = self.url.as_ref().ok_or("is missing")?.expose_secret();
        let compiled = UrlTemplate::compile("url", url).map_err(|error| told("url", &error))?;
        check_host(url)?;
        let behind = url.split_once("://").map_or("", |(_, behind)| behind);
        let rest = behind
            .find(['/', '?', '#'])
            .map_or("", |at| behind.split_at(at).1);
        let rest =
            Template::compile_as(Kind::Url, "url", rest).map_err(|error| told("url", &error))?;
        known_names(&rest)?;
        Ok(compiled)
    }

    fn path(&self) -> Result<Option<UrlPath>, String> {
        let source = self.path.as_ref().map_or("", |path| path.expose_secret());
        if source.is_empty() {
            return Ok(None);
        }
        let path = UrlPath::compile("path", source).map_err(|error| told("path", &error))?;
        known_names(path.template())?;
        if !source.starts_with(['/', '{']) {
            return Err("does not begin with a slash".to_owned());
        }
        Ok(Some(path))
    }

    fn body(&self) -> Result<Body, String> {
        match (&self.template, self.format) {
            (Some(document), Format::Push) => Ok(Body::Template(compile(document)?)),
            (Some(_), _) => {
                Err("cannot be had together with a format: one of them goes".to_owned())
            }
            (None, Format::Push) => Ok(Body::Push),
            (None, Format::CloudEvents) => Ok(Body::CloudEventsBinary),
            (None, Format::CloudEventsStructured) => Ok(Body::CloudEventsStructured),
        }
    }

    fn signature(&self) -> Result<Option<Signature>, String> {
        let robot = self.signature.map(|name| match name {
            RobotName::Feishu => Robot::Feishu,
            RobotName::Dingtalk => Robot::Dingtalk,
        });
        match (robot, self.signing_secret.as_slice()) {
            (_, []) => Ok(None),
            (Some(robot), [secret]) => Ok(Some(Signature::Robot(robot, secret.clone()))),
            (Some(_), _) => Err("holds several secrets, but a chat robot knows one".to_owned()),
            (None, secrets) => Standard::new(secrets)
                .map(|standard| Some(Signature::Standard(standard)))
                .map_err(|error| error.to_string()),
        }
    }

    fn skip_when(&self) -> Result<Option<Expression>, String> {
        let source = self.skip_when.as_ref().map(|condition| condition.source());
        source.map(condition::compile_skip).transpose()
    }

    fn proxy(&self) -> Result<Option<SecretString>, String> {
        let Some(proxy) = &self.proxy else {
            return Ok(None);
        };
        let uri: Uri = proxy
            .expose_secret()
            .parse()
            .map_err(|_| "is no URL".to_owned())?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err("begins with neither http:// nor https://".to_owned());
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err("has something behind its host".to_owned());
        }
        Ok(Some(proxy.clone()))
    }

    fn ca(&self) -> Result<Option<Vec<u8>>, String> {
        self.ca_file.as_ref().map(trust::certificates).transpose()
    }

    fn check_headers(&self, faults: &mut Faults) {
        for (name, value) in &self.headers {
            let key = format!("headers.{name}");
            let word = name.as_str();
            if OWN_HEADERS.contains(&word) || word.starts_with("flashduty-") {
                faults.add(&key, "is a header that the sink sets itself");
            } else if HeaderValue::from_str(value.expose_secret()).is_err() {
                faults.add(&key, "holds a character that no header may have");
            }
        }
    }

    fn check_remember(&self, faults: &mut Faults) {
        for (name, pointer) in &self.remember {
            let key = format!("remember.{name}");
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
                let allowed = "1 to 64 of A-Z, a-z, 0-9 and '_'";
                faults.allow(&key, "is no name for what is remembered", allowed);
            } else if let Err(what) = is_pointer(pointer) {
                let allowed = "a JSON pointer, such as \"/data/key\"";
                faults.allow(&key, what, allowed);
            }
        }
    }
}

/// Compiles a body. One that stands in the configuration is JSON, as those of presets are.
fn compile(document: &Document) -> Result<Template, String> {
    let (kind, name) = match document.path() {
        Some(path) => {
            let name = path.display().to_string();
            (Kind::of(&name), name)
        }
        None => (Kind::Json, "the template".to_owned()),
    };
    let template = Template::compile_as(kind, &name, document.text());
    let template = template.map_err(|error| error.to_string())?;
    known_names(&template)?;
    Ok(template)
}

/// What `error` says of the key `name`, whose name stands before it already.
fn told(name: &str, error: &TemplateError) -> String {
    let told = error.to_string();
    match told.strip_prefix(name) {
        Some(rest) => rest.trim_start_matches([':', ',', ' ']).to_owned(),
        None => told,
    }
}

fn known_names(template: &Template) -> Result<(), String> {
    match template.unknown_names().as_slice() {
        [] => Ok(()),
        names => Err(format!("uses what no event has: {}", names.join(", "))),
    }
}

fn check_host(url: &str) -> Result<(), String> {
    let end = url.find("://").map_or(0, |at| at + 3);
    let (scheme, behind) = url.split_at(end);
    let host = behind
        .split(['/', '?', '#', '\\'])
        .next()
        .unwrap_or_default();
    if host.contains('@') {
        return Err("has a user in it: send a header instead".to_owned());
    }
    match format!("{scheme}{host}").parse::<Uri>() {
        Ok(uri)
            if host
                .rsplit_once(':')
                .is_some_and(|(_, end)| !end.ends_with(']'))
                && uri.port_u16().is_none() =>
        {
            Err("has no usable port".to_owned())
        }
        Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) => Ok(()),
        _ => Err("has no usable host".to_owned()),
    }
}
