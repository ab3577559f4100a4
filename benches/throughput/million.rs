//! What a million stored events cost: the start, and each push.

use std::time::{Duration, Instant};

use crate::load::{self, Load};
use crate::server::{Kind, Server};
use crate::setup::{many, scratch};
use crate::stored::fill;
use crate::{ROUNDS, median};

pub(crate) fn measure() {
    let events = many();
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let begun = Instant::now();
    fill(&folder.path().join("data/inbox.db"), events);
    println!(
        "\nan inbox of {events} delivered events, filled in {:.0} s",
        begun.elapsed().as_secs_f64()
    );

    let empty: Vec<f64> = (0..ROUNDS)
        .map(|_| millis(Server::start(Kind::Receiver, None).ready_after))
        .collect();
    let mut full = Vec::new();
    let mut killed = Vec::new();
    for _ in 0..ROUNDS {
        let server = Server::start(Kind::Receiver, Some(folder.path()));
        full.push(millis(server.ready_after));
        let _load = load::run(&server, &Load::closed(64));
        server.kill();
        let server = Server::start(Kind::Receiver, Some(folder.path()));
        killed.push(millis(server.ready_after));
        server.stop();
    }
    println!(
        "start to ready, ms: empty {:.0}, full {:.0}, full after kill -9 under load {:.0}",
        median(empty),
        median(full),
        median(killed)
    );

    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (place, rates) in [None, Some(folder.path())].into_iter().zip(&mut rates) {
            let server = Server::start(Kind::Receiver, place);
            let load = Load::closed(64);
            let _warm = load::run(&server, &load.warm_up());
            rates.push(load::run(&server, &load).per_second);
            server.stop();
        }
    }
    let [without, with] = rates.map(median);
    println!(
        "64 connections: empty {without:.0}/s, with the stored events {with:.0}/s: {:.2}",
        with / without
    );
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
