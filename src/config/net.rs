//! Lists of addresses and CIDR blocks, read element by element so that a wrong one is named.

use std::borrow::Cow;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

use super::text;
use crate::source::{NetworkError, parse_allow, parse_trusted};

/// Writes single addresses without their prefix length.
pub(super) fn serialize<S: Serializer>(nets: &[IpNet], serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(nets.len()))?;
    for net in nets {
        if net.prefix_len() == net.max_prefix_len() {
            list.serialize_element(&net.addr())?;
        } else {
            list.serialize_element(net)?;
        }
    }
    list.end()
}

/// Reads `source.allow`.
pub(super) fn allowed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let elements = Vec::<Allowed>::deserialize(deserializer)?;
    Ok(elements.into_iter().flat_map(|element| element.0).collect())
}

/// Reads `source.trusted_proxies`.
pub(super) fn trusted<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let elements = Vec::<Trusted>::deserialize(deserializer)?;
    Ok(elements.into_iter().flat_map(|element| element.0).collect())
}

/// What one element of `source.allow` stands for.
pub(super) struct Allowed(Vec<IpNet>);

impl<'de> Deserialize<'de> for Allowed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = text::read_string(deserializer)?;
        parse_allow(&[word])
            .map(Self)
            .map_err(|error| D::Error::custom(fault(error)))
    }
}

impl JsonSchema for Allowed {
    fn schema_name() -> Cow<'static, str> {
        "AllowedAddresses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        list_schema(
            "addresses such as \"203.0.113.7\" and blocks such as \"203.0.113.0/24\" or \"2001:db8::/32\"",
        )
    }
}

/// What one element of `source.trusted_proxies` stands for.
pub(super) struct Trusted(Vec<IpNet>);

impl<'de> Deserialize<'de> for Trusted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = text::read_string(deserializer)?;
        parse_trusted(&[word])
            .map(Self)
            .map_err(|error| D::Error::custom(fault(error)))
    }
}

impl JsonSchema for Trusted {
    fn schema_name() -> Cow<'static, str> {
        "TrustedAddresses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        list_schema(
            "addresses such as \"10.0.0.7\", blocks such as \"10.0.0.0/8\", and \"private_ranges\"",
        )
    }
}

fn list_schema(allowed: &str) -> Schema {
    json_schema!({
        "type": "array",
        "items": { "type": "string", "x-allowed": allowed },
        "x-allowed": format!("a list of {allowed}"),
    })
}

/// Says what is wrong in the words of a message that names the element and what is allowed.
fn fault(error: NetworkError) -> String {
    match error {
        NetworkError::Unreadable { .. } => "is no address".to_owned(),
        NetworkError::HostBits { block, address, .. } => {
            format!("names an address inside its block: write \"{block}\" or \"{address}\"")
        }
        NetworkError::PrivateRanges => "is for trusted_proxies only".to_owned(),
    }
}
