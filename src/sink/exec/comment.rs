//! What came of a command, written to its incident's timeline through the sender's API.

use std::time::Duration;

use async_trait::async_trait;

use crate::flashduty::{Api, Patience};

/// The longest comment in characters; the sender takes 1,024.
const LONGEST: usize = 1000;
/// How long a comment may take.
pub const PATIENCE: Patience = Patience {
    silence: Duration::from_secs(4),
    whole: Duration::from_secs(4),
};

/// Writes to an incident's timeline.
#[async_trait]
pub trait Commenter: Send + Sync {
    /// Adds `text`, at most a thousand characters; says why it could not.
    async fn comment(&self, incident_id: &str, text: &str) -> Result<(), String>;
}

#[async_trait]
impl Commenter for Api {
    async fn comment(&self, incident_id: &str, text: &str) -> Result<(), String> {
        let body = serde_json::json!({ "incident_ids": [incident_id], "comment": text });
        match self.post("/incident/comment", &body).await {
            Ok(_whatever) => Ok(()),
            Err(fault) => Err(fault.to_string()),
        }
    }
}

/// What is written: what was run, how it ended, and the beginning of what it said.
pub(super) fn text(name: &str, outcome: &str, answer: Option<&str>) -> String {
    let whole = match answer {
        Some(answer) => format!("{name}: {outcome}\n{answer}"),
        None => format!("{name}: {outcome}"),
    };
    let shown = |at: char| {
        if at.is_control() && at != '\n' && at != '\t' {
            '\u{fffd}'
        } else {
            at
        }
    };
    if whole.chars().count() <= LONGEST {
        return whole.chars().map(shown).collect();
    }
    whole
        .chars()
        .take(LONGEST - 1)
        .map(shown)
        .chain(['…'])
        .collect()
}
