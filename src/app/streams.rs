//! The streams of events: who looks out for them, and how many there may be.

use std::sync::Arc;

use super::Running;
use crate::admin::stream::{MOST, Streams};
use crate::inbox::Lookout;

impl Running {
    /// What the admin listener needs to let others follow.
    pub(super) fn streams(&self) -> Streams {
        let lookout = Lookout::new(self.inbox(), self.committer.stored());
        let (looking, closing) = (Arc::clone(&lookout), self.lifecycle.closing_token());
        let _looking = self.lifecycle.spawn(async move {
            closing.run_until_cancelled(looking.run()).await;
        });
        // Probes and commands need connections, too, where there are few.
        let connections = self.live.admin_options().load().max_connections;
        let most = MOST.min(connections / 4).max(1);
        Streams::new(lookout, self.lifecycle.clone(), most)
    }
}
