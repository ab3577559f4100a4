//! `health`: one probe, its answer as the exit code, for container health checks.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use clap::Args;
use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::Full;

use super::access::{Way, way_to_public, within_reach};
use super::printer::Printer;
use super::target::Target;
use super::tls::TlsArgs;
use super::{Exit, request, settings};
use crate::config::Loaded;

/// A probe must end before whoever runs it loses patience; Docker gives it 30 s, people give less.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What to probe.
#[derive(Debug, Args)]
pub struct HealthArgs {
    #[arg(
        long,
        value_name = "URL",
        help = "The listener to probe, such as http://127.0.0.1:8080; else the configuration's \
                admin.listen"
    )]
    url: Option<String>,
    /// Ask only whether the process serves, not whether it can take a push now
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    tls: TlsArgs,
}

/// Shown below `health --help`.
pub const EXAMPLES: &str = "\
Exits with 0 when a push could be made durable now, else with 1 and the reason. In a Dockerfile:
    HEALTHCHECK CMD [\"flashduty-receiver\", \"health\"]";

/// Probes `/readyz` or `/livez`.
///
/// # Errors
/// When nothing answers.
pub async fn run(
    args: HealthArgs,
    config: Option<&Path>,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let path = if args.live { "/livez" } else { "/readyz" };
    let target = match &args.url {
        Some(url) => Target::parse(url, path, &args.tls.known()?)?,
        None => configured(&settings::load(config)?, path, &args.tls)?,
    };
    let request = Request::get(&target.path)
        .header(HOST, &target.authority)
        .body(Full::<Bytes>::default())?;
    let reply = request::send(&target, request, (TIMEOUT, request::PROBE_BYTES)).await?;
    let text = String::from_utf8_lossy(&reply.body);
    printer.line(text.trim_end())?;
    Ok(match reply.status {
        StatusCode::OK => Exit::Done,
        _ => Exit::Failed,
    })
}

/// The admin listener; the public one, which answers too, where the other wants a certificate that is
/// not at hand.
fn configured(loaded: &Loaded, path: &str, tls: &TlsArgs) -> anyhow::Result<Target> {
    let admin = &loaded.settings.admin;
    if admin.tls.client_ca.is_some() && !tls.has_client_cert() {
        return public(loaded, path, tls);
    }
    let base = within_reach(admin.listen, admin.tls.is_on());
    let known = tls.known_as(loaded.identities.admin.as_deref())?;
    Target::parse(&base, path, &known)
}

/// The public listener. Where it speaks the PROXY protocol, it takes connections of proxies alone, so
/// this machine has to be one: then it asks for itself.
fn public(loaded: &Loaded, path: &str, tls: &TlsArgs) -> anyhow::Result<Target> {
    let server = &loaded.settings.server;
    let base = within_reach(server.listen, server.tls.is_on());
    let known = tls.known_as(loaded.identities.server.as_deref())?;
    let target = Target::parse(&base, path, &known)?;
    match way_to_public(loaded)? {
        Way::Straight => Ok(target),
        Way::AsProxy => Ok(target.asked_by_a_proxy()),
        Way::Barred(own) => bail!(
            "admin.tls.client_ca wants a certificate, and server.listen takes connections of \
             source.trusted_proxies only; give --client-cert, or list {own} there"
        ),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::cli::printer::tests::captured;

    async fn probed(answer: &str) -> (Exit, String, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let args = HealthArgs {
            url: Some(format!("http://{}", listener.local_addr().unwrap())),
            live: false,
            tls: TlsArgs::default(),
        };
        let (mut printer, out, _) = captured(false);
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut seen).await.unwrap();
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(seen).unwrap()
        };
        let (exit, seen) = tokio::join!(run(args, None, &mut printer), serve);
        (exit.unwrap(), out.text(), seen)
    }

    #[tokio::test]
    async fn the_answer_of_the_probe_is_the_exit_code() {
        let ready = "HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{\"ready\":true}";
        let (exit, out, seen) = probed(ready).await;
        assert_eq!((exit, out.as_str()), (Exit::Done, "{\"ready\":true}\n"));
        assert!(seen.starts_with("GET /readyz HTTP/1.1\r\n"), "{seen}");
        let unready = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(probed(unready).await.0, Exit::Failed);
    }

    #[tokio::test]
    async fn nobody_there_is_an_error_that_names_the_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let args = HealthArgs {
            url: Some(format!("http://{address}")),
            live: false,
            tls: TlsArgs::default(),
        };
        let (mut printer, _, _) = captured(false);
        let error = run(args, None, &mut printer).await.unwrap_err();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
