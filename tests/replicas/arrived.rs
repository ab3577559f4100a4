//! What came to a sink, in the order in which it came.

use std::collections::{BTreeMap, BTreeSet};

use crate::fake::{FakeServer, Received};

/// Tables for replicas that deliver to `fake` and nowhere else. What one leaves in hand when it is
/// killed, or when the answer to its claim is lost, others take up half a minute later: the log's
/// they would take up only after ten.
pub(crate) fn only_to(fake: &FakeServer) -> String {
    let hook = fake.sink("hook", "concurrency = 16\ntimeout = \"1s\"");
    format!("{hook}\n[sink.log]\nenabled = false\n")
}

/// The events in the order in which they came first.
pub(crate) fn first_arrivals(received: &[Received]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let ids = received.iter().map(Received::event_id);
    ids.filter(|id| seen.insert(id.clone())).collect()
}

/// Returns how many requests were repetitions.
pub(crate) fn repeats_are_marked(received: &[Received]) -> usize {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for request in received {
        let times = times.entry(request.event_id()).or_default();
        *times += 1;
        let marked = request.header("flashduty-redelivered") == Some("true");
        assert!(
            *times == 1 || marked,
            "a repeat does not say so: {request:?}"
        );
    }
    times.values().map(|times| times - 1).sum()
}
