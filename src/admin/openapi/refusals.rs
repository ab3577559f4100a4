//! What requests are refused with.

use serde_json::{Map, Value, json};

use super::schemas::Schemas;
use crate::intake::problem::Problem;

/// What any request may be refused with: as HTTP, at the door, by its method, or by the store.
pub(super) const ANY: [u16; 10] = [400, 401, 403, 405, 408, 414, 429, 431, 500, 503];
const MORE: [u16; 4] = [404, 409, 413, 422];

/// All of them, by status.
pub(super) fn refusals(schemas: &mut Schemas) -> Map<String, Value> {
    let problem = schemas.answer::<Problem>();
    let all = ANY.iter().chain(&MORE).map(|status| {
        let mut refusal = json!({
            "description": why(*status),
            "content": { "application/problem+json": { "schema": problem } },
        });
        let header = match status {
            401 => Some("WWW-Authenticate"),
            405 => Some("Allow"),
            429 | 503 => Some("Retry-After"),
            _ => None,
        };
        if let Some(header) = header {
            refusal["headers"] =
                json!({ header: { "required": true, "schema": { "type": "string" } } });
        }
        (status.to_string(), refusal)
    });
    all.collect()
}

fn why(status: u16) -> &'static str {
    match status {
        400 => "The request cannot be read: what is wrong with it is said.",
        401 => "The token is missing, wrong or not set.",
        403 => "The Host is foreign, or another site's page asks.",
        404 => "There is no such thing.",
        405 => "The path does not take this method.",
        408 => "The request did not come in time.",
        409 => "That goes on already, or is not needed.",
        413 => "The body is too large.",
        414 => "The address is too long.",
        422 => "The request can be read, but not be carried out.",
        429 => "Too many wrong tokens came from this address.",
        431 => "The head is too large.",
        500 => "The service failed.",
        _ => "The store does not answer or takes nothing, or there are too many requests.",
    }
}
