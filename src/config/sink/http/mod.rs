//! A sink of type `http`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderName;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::super::{duration, header, secret};
use super::document::{self, Document};
use super::{address, condition};
use crate::filter::Expression;
use crate::preset::Lang;
use crate::template::DEFAULT_TIMEZONE;

mod build;

const SUCCESS: &str = "status >= 200 && status < 300";
const RETRY_ON: &str = "status in [408, 425, 429] || status >= 500";

/// One request for each event.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HttpSink {
    /// The preset whose keys lie below those that are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PresetName")]
    pub preset: Option<PresetName>,
    /// The language of the preset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Lang")]
    pub lang: Option<Lang>,
    /// The method, which may be a template.
    #[schemars(extend("x-allowed" = "\"POST\", \"PUT\", \"PATCH\", \"DELETE\" or \"GET\", or a template that gives one of them"))]
    pub method: String,
    /// Where to.
    #[serde(
        serialize_with = "address::serialize",
        deserialize_with = "secret::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "secret::Text", extend("x-allowed" = "a URL that begins with http:// or https://, \"file:/path/to/it\" or \"env:NAME_OF_VARIABLE\"; values may stand behind its host, as in \"https://host/issues/{{ labels.issue }}\""))]
    pub url: Option<SecretString>,
    /// A template that goes behind the path of the URL.
    #[serde(
        serialize_with = "secret::serialize",
        deserialize_with = "secret::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "String", extend("writeOnly" = true, "x-literal" = true, "x-allowed" = "a template (minijinja) that gives nothing, or a path that begins with a slash"))]
    pub path: Option<SecretString>,
    /// Headers that are sent.
    #[serde(
        serialize_with = "header::serialize_fixed",
        deserialize_with = "header::deserialize_fixed",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(with = "header::Fixed")]
    pub headers: Vec<(HeaderName, SecretString)>,
    /// The body, in place of the push.
    #[serde(
        serialize_with = "document::serialize_template",
        deserialize_with = "document::deserialize_template",
        skip_serializing_if = "document::is_silent"
    )]
    #[schemars(with = "document::Template")]
    pub template: Option<Document>,
    /// What is sent where there is no template.
    pub format: Format,
    /// Secrets that requests are signed with.
    #[serde(
        serialize_with = "secret::serialize_list",
        deserialize_with = "secret::deserialize_list",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(with = "secret::TextList")]
    pub signing_secret: Vec<SecretString>,
    /// How they are signed, unless as Standard Webhooks says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RobotName")]
    pub signature: Option<RobotName>,
    /// The longest body that is sent, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", range(min = 1, max = 1_073_741_824))]
    pub max_bytes: Option<usize>,
    /// Which answers mean that the other side took it.
    #[serde(
        serialize_with = "condition::serialize",
        deserialize_with = "condition::answer"
    )]
    #[schemars(with = "condition::OfAnswer")]
    pub success: Arc<Expression>,
    /// Which of the others are worth another try.
    #[serde(
        serialize_with = "condition::serialize",
        deserialize_with = "condition::answer"
    )]
    #[schemars(with = "condition::OfAnswer")]
    pub retry_on: Arc<Expression>,
    /// How long such an answer holds the whole sink.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text", extend("x-min" = "0s", "x-max" = "1d"))]
    pub pause: Duration,
    /// A proxy for all requests.
    #[serde(
        serialize_with = "address::serialize",
        deserialize_with = "deserialize_proxy",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "secret::Text", extend("x-empty" = true, "x-allowed" = "\"http://host:port\" or \"https://host:port\", also as \"file:/path/to/it\" or \"env:NAME_OF_VARIABLE\"; or \"\" for none"))]
    pub proxy: Option<SecretString>,
    /// Certificates that are trusted beside the system's.
    #[serde(
        serialize_with = "document::serialize_file",
        deserialize_with = "document::deserialize_file",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "document::File", extend("x-allowed" = "the path of a file with certificates in PEM, or \"\" for none"))]
    pub ca_file: Option<Document>,
    /// Whether private addresses may be connected to.
    pub allow_private: bool,
    /// What of an answer is remembered for later events of the subject, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-allowed" = "a table of names (A-Z, a-z, 0-9, _) and JSON pointers (RFC 6901) into the answer, such as { ticket = \"/key\" }"))]
    pub remember: BTreeMap<String, String>,
    /// Which events are not sent.
    #[serde(
        serialize_with = "condition::serialize_option",
        deserialize_with = "condition::skip",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "condition::OfMemory")]
    pub skip_when: Option<Arc<Expression>>,
    /// The zone of times that are shown.
    #[schemars(extend("x-allowed" = "a time zone, such as \"Asia/Shanghai\", \"Europe/Berlin\" or \"UTC\""))]
    pub timezone: String,
}

impl Default for HttpSink {
    fn default() -> Self {
        let condition = |source| {
            condition::compile_answer(source).expect("the built-in conditions are conditions")
        };
        Self {
            preset: None,
            lang: None,
            method: "POST".to_owned(),
            url: None,
            path: None,
            headers: Vec::new(),
            template: None,
            format: Format::Push,
            signing_secret: Vec::new(),
            signature: None,
            max_bytes: None,
            success: Arc::new(condition(SUCCESS)),
            retry_on: Arc::new(condition(RETRY_ON)),
            pause: Duration::ZERO,
            proxy: None,
            ca_file: None,
            allow_private: true,
            remember: BTreeMap::new(),
            skip_when: None,
            timezone: DEFAULT_TIMEZONE.to_owned(),
        }
    }
}

/// What is sent where there is no template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The pushed bytes.
    Push,
    /// CloudEvents 1.0 in its binary mode: attributes in headers, the pushed bytes as the body.
    #[serde(rename = "cloudevents")]
    CloudEvents,
    /// CloudEvents 1.0 in its structured mode: one JSON object around the push.
    #[serde(rename = "cloudevents-structured")]
    CloudEventsStructured,
}

/// A chat robot's way to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RobotName {
    /// Feishu's and Lark's.
    Feishu,
    /// DingTalk's.
    Dingtalk,
}

/// A preset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PresetName {
    /// A robot of a Feishu group.
    Feishu,
    /// The same in a Lark group.
    Lark,
    /// A robot of a DingTalk group.
    Dingtalk,
    /// A robot of a WeCom group.
    Wecom,
    /// A webhook of a Slack app.
    Slack,
    /// A workflow of a Teams channel.
    Teams,
    /// One ticket for each incident.
    Ticket,
}

/// Reads a proxy; an empty one is none.
fn deserialize_proxy<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    let proxy = secret::deserialize(deserializer)?;
    Ok(proxy.filter(|proxy| !proxy.expose_secret().is_empty()))
}
