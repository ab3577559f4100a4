//! Receivers as they run, on PostgreSQL and on the embedded store, under the same load.

use std::thread;
use std::time::Duration;

use bytes::Bytes;

use crate::bare::{Bare, What, body};
use crate::database::Server as Database;
use crate::facts::Used;
use crate::load::{self, Load};
use crate::server::{Kind, Server};
use crate::setup::{offer, wanted_by};
use crate::{median, runtime};

const ROUNDS: usize = 3;
const BODY: usize = 1400;

/// A receiver on a store.
pub(crate) fn receiver(url: Option<&str>) -> Server {
    let store = url.map(|url| format!("store.url = \"{url}\""));
    Server::start_with(Kind::Receiver, None, &store.unwrap_or_default())
}

/// One round of one kind.
#[derive(Debug, Default)]
struct Figures {
    rate: f64,
    batch: f64,
    /// Microseconds of the receiver's and the database's processors, a push.
    receiver: f64,
    database: f64,
}

#[derive(Debug, Default)]
struct Rounds(Vec<Figures>);

impl Rounds {
    fn median(&self, figure: impl Fn(&Figures) -> f64) -> f64 {
        median(self.0.iter().map(figure).collect())
    }
}

pub(crate) fn closed_loop(database: &Database) {
    println!(
        "\nclosed loop, pushes/s (median of {ROUNDS} interleaved rounds), 1.4 KB, unique ids and incidents\n\
         (i) bare inserts in batches as large as (ii)'s, (ii) one receiver on PostgreSQL, \
         (iii) one on SQLite, (iv) two on PostgreSQL"
    );
    println!(
        "{:>11} {:>8} {:>8} {:>8} {:>8} {:>7} {:>8} {:>6} {:>12} {:>12}",
        "connections",
        "(i)",
        "(ii)",
        "(iii)",
        "(iv)",
        "batch",
        "(ii)/(i)",
        "/(iii)",
        "receiver us",
        "database us"
    );
    for connections in [1, 16, 64, 256] {
        let mut rounds = [(); 4].map(|()| Rounds::default());
        for _ in 0..ROUNDS {
            let url = database.url(&database.database());
            let two = one(database, receiver(Some(&url)), connections);
            rounds[0].0.push(Figures {
                rate: bare(&url, two.batch),
                ..Figures::default()
            });
            rounds[1].0.push(two);
            rounds[2].0.push(one(database, receiver(None), connections));
            rounds[3].0.push(two_at_once(database, connections));
        }
        let [bare, ours, embedded, pair] = rounds
            .each_ref()
            .map(|rounds| rounds.median(|one| one.rate));
        println!(
            "{connections:>11} {bare:>8.0} {ours:>8.0} {embedded:>8.0} {pair:>8.0} {:>7.1} {:>8.2} {:>6.2} {:>12.0} {:>12.0}",
            rounds[1].median(|one| one.batch),
            ours / bare,
            ours / embedded,
            rounds[1].median(|one| one.receiver),
            rounds[1].median(|one| one.database),
        );
    }
}

pub(crate) fn open_loop(database: &Database) {
    println!(
        "\nopen loop, 2,000/s for 10 s over 64 connections, latency in ms from the scheduled time"
    );
    println!(
        "{:>11} {:>8} {:>8} {:>8} {:>8} {:>6}",
        "", "p50", "p99", "p99.9", "max", "batch"
    );
    for _ in 0..ROUNDS {
        let url = database.url(&database.database());
        for (name, url) in [("PostgreSQL", Some(&*url)), ("SQLite", None)] {
            let server = receiver(url);
            let _warm = load::run(&server, &Load::closed(64).warm_up());
            let before = batches(&server);
            let report = load::run(&server, &Load::open(2000, 10));
            println!(
                "{name:>11} {} {:>6.1}",
                report.tail(),
                mean_batch(before, batches(&server))
            );
            server.stop();
        }
    }
}

fn one(database: &Database, server: Server, connections: usize) -> Figures {
    let load = Load::closed(connections);
    let _warm = load::run(&server, &load.warm_up());
    let (before, used, cpu) = (batches(&server), Used::now(database), server.cpu_seconds());
    let report = load::run(&server, &load);
    let pushes = f64::from(report.pushes);
    let used = Used::now(database).since(used);
    let figures = Figures {
        rate: report.per_second,
        batch: mean_batch(before, batches(&server)),
        receiver: (server.cpu_seconds() - cpu) * 1e6 / pushes,
        database: used.cpu_seconds * 1e6 / pushes,
    };
    server.stop();
    figures
}

/// Two receivers on one database, each with half of the connections.
fn two_at_once(database: &Database, connections: usize) -> Figures {
    let url = database.url(&database.database());
    let servers = [receiver(Some(&url)), receiver(Some(&url))];
    let load = Load::closed(connections.div_ceil(2));
    let push = |server: &Server| {
        let _warm = load::run(server, &load.warm_up());
        load::run(server, &load).per_second
    };
    let rate = thread::scope(|scope| {
        let pushing = servers
            .each_ref()
            .map(|server| scope.spawn(|| push(server)));
        pushing.map(|one| one.join().unwrap()).iter().sum()
    });
    servers.into_iter().for_each(Server::stop);
    Figures {
        rate,
        ..Figures::default()
    }
}

fn bare(url: &str, batch: f64) -> f64 {
    // A fraction of a second of batches, some of one size and some of one more, would do as well.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few hundred"
    )]
    let size = batch.round().max(1.0) as usize;
    let body = Bytes::from(body(BODY));
    let wanted = wanted_by(flashduty_receiver::inbox::SinkId(0));
    let offers = || (0..size).map(|_| offer(None, &body, &wanted)).collect();
    runtime().block_on(async {
        Bare::open(url, What::Events)
            .await
            .insert(Duration::from_secs(3), offers)
            .await
    })
}

/// Transactions with offers so far, and their offers.
fn batches(server: &Server) -> [f64; 2] {
    ["count", "sum"].map(|what| server.metric(&format!("flashduty_inbox_batch_events_{what}")))
}

fn mean_batch(before: [f64; 2], after: [f64; 2]) -> f64 {
    (after[1] - before[1]) / (after[0] - before[0])
}
