//! How fast what waits is delivered, and what a claim costs when it waits behind others.
//!
//! A stored backlog is delivered by the real binary to an http server of its own on this machine.
//! Wall times depend on the machine; that the last quarter is as fast as the first does not.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and ends when its set-up fails"
)]

#[path = "../setup/mod.rs"]
mod setup;
mod store;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::Router;
use axum::routing::post;
use flashduty_receiver::lifecycle::Lifecycle;
use flashduty_receiver::listener::{Gate, Listener, ListenerMetrics, ListenerOptions, Serving};

use setup::{free_address, get, many, scratch};

/// Subjects that may be under way at the same time.
const AT_ONCE: usize = 64;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("serve") => serve(),
        // `cargo test --benches` only wants to know that it starts.
        _ if arguments.iter().any(|argument| argument == "--test") => {}
        _ => everything(),
    }
}

fn everything() {
    let million = many();
    println!("http sink on loopback, {AT_ONCE} at once:");
    drain(60_000, 5_000);
    println!("\na backlog of {million} deliveries:");
    drain(million, million / 20);
    store::claims(million);
}

/// Fills a store, starts the receiver on it, and watches what waits become less.
fn drain(events: usize, subjects: usize) {
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    store::fill(&folder.path().join("data/inbox.db"), events, subjects);
    let (sink, admin) = (free_address(), free_address());
    let server = Running(
        Command::new(std::env::current_exe().unwrap())
            .arg("serve")
            .env("BENCH_LISTEN", sink.to_string())
            .spawn()
            .unwrap(),
    );
    while get(sink, "/").is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let receiver = receiver(folder.path(), sink, admin);
    let mut quarters = Vec::new();
    let (mut begun, mut left) = (Instant::now(), 4);
    let mut waiting = events;
    while waiting > 0 {
        std::thread::sleep(Duration::from_millis(100));
        let Some(now) = pending(admin) else { continue };
        if now == events {
            begun = Instant::now();
        }
        waiting = now;
        while left > 0 && waiting <= events * (left - 1) / 4 {
            left -= 1;
            quarters.push(begun.elapsed());
        }
    }
    let total = quarters.last().unwrap().as_secs_f64();
    let mut before = Duration::ZERO;
    let rates: Vec<String> = quarters
        .iter()
        .map(|at| {
            let seconds = (*at - before).as_secs_f64();
            before = *at;
            format!("{:.0}", events as f64 / 4.0 / seconds)
        })
        .collect();
    println!(
        "{events} deliveries of {subjects} subjects in {total:.1} s: {:.0}/s; by quarters {}/s",
        events as f64 / total,
        rates.join(", ")
    );
    drop(receiver);
    drop(server);
}

fn receiver(folder: &Path, sink: SocketAddr, admin: SocketAddr) -> Running {
    let config = format!(
        "server.listen = \"127.0.0.1:0\"\nadmin.listen = \"{admin}\"\n\
         [source]\nallow = [\"127.0.0.1\"]\n[sink.log]\nenabled = false\n\
         [sink.hook]\ntype = \"http\"\nurl = \"http://{sink}/hook\"\nconcurrency = {AT_ONCE}\n"
    );
    std::fs::write(folder.join("config.toml"), config).unwrap();
    let log = std::fs::File::create(folder.join("log")).unwrap();
    Running(
        Command::new(env!("CARGO_BIN_EXE_flashduty-receiver"))
            .args(["--config", "config.toml"])
            .current_dir(folder)
            .stdout(log)
            .spawn()
            .unwrap(),
    )
}

/// Killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Deliveries to the sink that are not settled, as the receiver's status has them.
fn pending(admin: SocketAddr) -> Option<usize> {
    let status = get(admin, "/api/v1/status");
    let value: serde_json::Value = serde_json::from_str(status.split("\r\n\r\n").nth(1)?).ok()?;
    let sinks = value["inbox"]["sinks"].as_array()?;
    let hook = sinks.iter().find(|sink| sink["sink"] == "hook")?;
    usize::try_from(hook["pending"].as_u64()?).ok()
}

fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let address = std::env::var("BENCH_LISTEN").unwrap().parse().unwrap();
        let serving = Serving {
            router: Router::new()
                .route("/hook", post(|_: axum::body::Bytes| async { "{}" }))
                .route("/", axum::routing::get(|| async { "ready" })),
            options: Arc::new(ArcSwap::from_pointee(ListenerOptions::default())),
            gate: Gate::open(),
            metrics: ListenerMetrics::default(),
            refuse: Arc::new(|_| http::Response::default()),
        };
        Listener::bind(address)
            .unwrap()
            .run(serving, Lifecycle::default())
            .await
            .unwrap();
    });
}
