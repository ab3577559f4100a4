//! How many deliveries a second there are on loopback; measured, not asserted.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a measurement runs on its own tasks and is read from the output"
)]

use std::time::Instant;

use super::*;

/// Deliveries at once.
const IN_FLIGHT: usize = 64;

async fn measure(what: &str, server: &FakeServer, sink: HttpSink) {
    /// By each of those that are in flight.
    const EACH: usize = 500;
    let sink = Arc::new(sink);
    let begun = Instant::now();
    let workers: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let sink = Arc::clone(&sink);
            tokio::spawn(async move {
                let leases = [lease()];
                for _ in 0..EACH {
                    sink.deliver(&leases).await.remove(0).unwrap();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    #[expect(clippy::cast_precision_loss, reason = "a rough figure")]
    let rate = (IN_FLIGHT * EACH) as f64 / begun.elapsed().as_secs_f64();
    let connections = server.connections();
    eprintln!("{what}: {rate:.0} deliveries a second over {connections} connections");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: run it alone, with --release and --nocapture"]
async fn deliveries_a_second() {
    let server = FakeServer::counting();
    let push = sink(options(&server.url("/hook")));
    measure("the pushed bytes", &server, push).await;
    let mut options = options(&server.url("/hook"));
    options.body = Body::Template(json(r#"{"title":{{ title }},"push":{{ push }}}"#));
    options.success = on_answer("status == 200 && body != null");
    measure("a template", &server, sink(options)).await;
}
