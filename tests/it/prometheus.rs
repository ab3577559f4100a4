//! A real Prometheus that scrapes receivers under test and judges the alert rules, and its answers.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::proxy::free_address;
use crate::receiver::PATIENCE;
use crate::tidy::ROOT;

/// What targets are scraped as.
pub(crate) const JOB: &str = "flashduty";
const RULES: &str = "deploy/prometheus/rules.yaml";

/// A server that runs. Ended when dropped.
pub(crate) struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Scrapes the admin listeners at `targets`; returns once it has asked each of them.
    pub(crate) fn start(targets: &[SocketAddr]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prometheus.yml");
        let wanted = targets.len();
        let targets: Vec<String> = targets.iter().map(|target| format!("'{target}'")).collect();
        let targets = targets.join(", ");
        let configuration = format!(
            "global:\n  scrape_interval: 250ms\n  scrape_timeout: 250ms\n  \
             evaluation_interval: 250ms\nrule_files: ['{ROOT}/{RULES}']\nscrape_configs:\n  \
             - job_name: {JOB}\n    static_configs:\n      - targets: [{targets}]\n"
        );
        std::fs::write(&file, configuration).unwrap();
        let address = free_address();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("prometheus is there: `make test` installs it");
        let prometheus = Self {
            child,
            address,
            _folder: folder,
        };
        // What is counted before it has been asked is no increase.
        prometheus.wait_for("a scrape of each", |prometheus| {
            let up = prometheus.ask("up == 1");
            up.is_ok_and(|samples| samples.len() == wanted)
        });
        prometheus
    }

    /// Waits until `done`.
    pub(crate) fn wait_for(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "no sign of {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The samples that an expression gives now, or why it gives none.
    pub(crate) fn ask(&self, expression: &str) -> Result<Vec<Value>, String> {
        let answer = self.post("/api/v1/query", &format!("query={}", encoded(expression)));
        let answer = answer.map_err(|error| error.to_string())?;
        match &answer["data"]["result"] {
            Value::Array(samples) => Ok(samples.clone()),
            _ => Err(answer.to_string()),
        }
    }

    /// As HTTP/1.0, so that the answer is neither chunked nor kept waiting.
    fn post(&self, path: &str, body: &str) -> io::Result<Value> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.0\r\nHost: test\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        Ok(serde_json::from_str(body)?)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// What promtool says to these arguments, below the folder of the rules.
pub(crate) fn promtool(arguments: &[&str]) -> (bool, String) {
    let folder = format!("{ROOT}/deploy/prometheus");
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("promtool is there: `make test` installs prometheus");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.success(), said)
}

/// Each byte that is no letter or digit by its number.
fn encoded(text: &str) -> String {
    let each = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    each.collect()
}
