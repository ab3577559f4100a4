//! What is logged on this thread, for tests.

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};

use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;

/// While a process has one subscriber only, whether a line is wanted at all is decided for good by the
/// thread that comes to it first, which may be another test's, without one.
static ANOTHER: OnceLock<Dispatch> = OnceLock::new();

#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Collects until the guard is dropped.
    pub(crate) fn begin() -> (Self, DefaultGuard) {
        ANOTHER.get_or_init(|| Dispatch::new(tracing_subscriber::registry()));
        let lines = Self::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn all(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// Those that say `what`.
    pub(crate) fn with(&self, what: &str) -> Vec<String> {
        let all = self.all();
        let with = all.lines().filter(|line| line.contains(what));
        with.map(str::to_owned).collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
