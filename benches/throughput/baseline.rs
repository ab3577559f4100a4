//! What the receiver is measured against: its own front before a handler that does less.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use flashduty_receiver::lifecycle::Lifecycle;
use flashduty_receiver::listener::{Gate, Listener, ListenerMetrics, ListenerOptions, Serving};
use serde::Deserialize;
use tokio::sync::oneshot;

/// What a plain handler reads of a push.
#[derive(Deserialize)]
struct Push {
    event_id: String,
    event_type: String,
    event_time: i64,
}

type Append = (Bytes, oneshot::Sender<()>);

/// Serves on `$BENCH_LISTEN` until killed; with a file, answers once a push is synced into it.
pub(crate) fn serve(file: Option<&Path>) {
    let appender = file.map(|path| {
        let file = File::create(path).unwrap();
        let (send, receive) = channel::<Append>();
        std::thread::spawn(move || append(file, &receive));
        send
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let address = std::env::var("BENCH_LISTEN").unwrap().parse().unwrap();
        let router = Router::new()
            .route("/webhook", post(receive))
            .route("/readyz", get(|| async { "ready" }))
            .with_state(appender);
        let serving = Serving {
            router,
            options: Arc::new(ArcSwap::from_pointee(ListenerOptions::default())),
            refuse: Arc::new(|_| http::Response::default()),
            gate: Gate::open(),
            metrics: ListenerMetrics::default(),
        };
        Listener::bind(address)
            .unwrap()
            .run(serving, Lifecycle::default())
            .await
            .unwrap();
    });
}

async fn receive(State(appender): State<Option<Sender<Append>>>, body: Bytes) -> impl IntoResponse {
    let Ok(push) = serde_json::from_slice::<Push>(&body) else {
        return (StatusCode::BAD_REQUEST, String::new());
    };
    if let Some(appender) = appender {
        let (synced, done) = oneshot::channel();
        appender.send((body, synced)).unwrap();
        done.await.unwrap();
    }
    let known = push.event_time > 0 && !push.event_type.is_empty();
    (
        StatusCode::OK,
        format!(
            "{{\"outcome\":\"accepted\",\"event_id\":\"{}\",\"seq\":{}}}",
            push.event_id,
            u8::from(known)
        ),
    )
}

/// All that wait are written together and synced once.
fn append(mut file: File, waiting: &Receiver<Append>) {
    let (mut bytes, mut answers) = (Vec::new(), Vec::new());
    while let Ok(first) = waiting.recv() {
        for (body, synced) in std::iter::once(first).chain(waiting.try_iter()) {
            bytes.extend_from_slice(&body);
            bytes.push(b'\n');
            answers.push(synced);
        }
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
        bytes.clear();
        for synced in answers.drain(..) {
            // Whoever pushed may have gone.
            let _heard = synced.send(());
        }
    }
}
