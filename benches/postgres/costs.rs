//! What an event costs the database: bytes, syncs, time of processors, and a receiver's connections.

use crate::bare::body;
use crate::database::Server as Database;
use crate::facts::Used;
use crate::load::{self, Load};
use crate::replicas::receiver;
use crate::setup::scratch;

const EVENTS: u32 = 30_000;
const TABLES: &str = "SELECT c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid) FROM pg_class c \
     WHERE c.relname IN ('events', 'keys', 'subjects', 'deliveries', 'lanes', \
     'leases') AND c.relkind = 'r' \
     ORDER BY c.relname";

pub(crate) fn measure(database: &Database) {
    for size in [1400, 2048] {
        of_bodies(database, size);
    }
}

fn of_bodies(database: &Database, size: usize) {
    let name = database.database();
    let server = receiver(Some(&database.url(&name)));
    let file = scratch().join("body.json");
    std::fs::write(&file, body(size)).unwrap();
    let load = Load::count(EVENTS, Some(&file));
    // Not from a fresh checkpoint: there each page is written whole the first time.
    let _first = load::run(&server, &load);
    let before = told(database);
    let _second = load::run(&server, &load);
    let used = told(database).since(before);
    database.sql(&name, "CHECKPOINT");
    let before = told(database);
    let _third = load::run(&server, &load);
    let after_checkpoint = told(database).since(before);
    let connections = database.sql(
        "postgres",
        &format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"),
    );
    let waiting = server.store_facts();
    server.stop();

    let each = |figure: f64| figure / f64::from(EVENTS);
    println!(
        "\nan event with a body of {size} bytes, {EVENTS} over 64 connections, one sink that takes all\n\
         WAL {:.0} bytes, of whole pages {:.2}; with a checkpoint just before {:.0} bytes, of whole pages {:.2}\n\
         syncs {:.3}; processors of the database {:.0} us; connections of the receiver {connections}; {waiting}",
        each(used.wal_bytes),
        each(used.images),
        each(after_checkpoint.wal_bytes),
        each(after_checkpoint.images),
        each(used.syncs),
        each(used.cpu_seconds * 1e6),
    );
    let mut sum = 0.0;
    for line in database.sql(&name, TABLES).lines() {
        let fields: Vec<&str> = line.split('|').collect();
        let of = |n: usize| each(fields[n].parse::<f64>().unwrap()) / 3.0;
        let (table, indexes) = (of(1), of(2));
        sum += table + indexes;
        println!(
            "{:>12}: table {table:>6.0}, indexes {indexes:>5.0} bytes an event",
            fields[0]
        );
    }
    println!("{:>12}: {sum:.0} bytes an event on disk", "all");
}

/// What was used once every process has told: while they work they do so once a second.
fn told(database: &Database) -> Used {
    std::thread::sleep(std::time::Duration::from_secs(3));
    Used::now(database)
}
