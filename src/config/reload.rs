//! What a running receiver takes over from a changed configuration, and what has to wait.

use super::{Settings, Store};

/// Settings to go on with.
#[derive(Debug, Clone)]
pub struct Reload {
    /// The new settings, with the old values of what cannot change while running.
    pub settings: Settings,
    /// The keys that were changed but keep their old value until the next start.
    pub kept: Vec<&'static str>,
}

/// Takes `new`, but for what was bound or opened at the start: listeners, the webhook's path, the
/// PROXY protocol, whether they speak TLS, and the store.
pub fn merge_reload(running: &Settings, mut new: Settings) -> Reload {
    let mut kept = Vec::new();
    let Settings {
        server,
        admin,
        source,
        store,
        ..
    } = &mut new;
    keep(
        "server.listen",
        &running.server.listen,
        &mut server.listen,
        &mut kept,
    );
    keep(
        "server.path",
        &running.server.path,
        &mut server.path,
        &mut kept,
    );
    keep(
        "admin.listen",
        &running.admin.listen,
        &mut admin.listen,
        &mut kept,
    );
    keep(
        "source.proxy_protocol",
        &running.source.proxy_protocol,
        &mut source.proxy_protocol,
        &mut kept,
    );
    // Other certificates are taken over; what a connection begins with stays.
    if running.server.tls.is_on() != server.tls.is_on() {
        server.tls.clone_from(&running.server.tls);
        kept.push("server.tls");
    }
    if running.admin.tls.is_on() != admin.tls.is_on() {
        admin.tls.clone_from(&running.admin.tls);
        kept.push("admin.tls");
    }
    keep_store(&running.store, store, &mut kept);
    Reload {
        settings: new,
        kept,
    }
}

/// All of the store needs a restart.
fn keep_store(old: &Store, store: &mut Store, kept: &mut Vec<&'static str>) {
    keep("store.url", &old.url, &mut store.url, kept);
    keep("store.password", &old.password, &mut store.password, kept);
    keep("store.ca_file", &old.ca_file, &mut store.ca_file, kept);
    keep("store.pool", &old.pool, &mut store.pool, kept);
    keep(
        "store.pgbouncer",
        &old.pgbouncer,
        &mut store.pgbouncer,
        kept,
    );
    keep("store.spill", &old.spill, &mut store.spill, kept);
    keep(
        "store.retention",
        &old.retention,
        &mut store.retention,
        kept,
    );
    keep("store.max_size", &old.max_size, &mut store.max_size, kept);
    keep(
        "store.min_free_disk",
        &old.min_free_disk,
        &mut store.min_free_disk,
        kept,
    );
    keep(
        "store.lock_wait",
        &old.lock_wait,
        &mut store.lock_wait,
        kept,
    );
}

fn keep<T: Clone + PartialEq>(
    key: &'static str,
    running: &T,
    new: &mut T,
    kept: &mut Vec<&'static str>,
) {
    if running != new {
        new.clone_from(running);
        kept.push(key);
    }
}
