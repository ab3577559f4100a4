//! Ctrl-C, noticed between two steps of a long work: what was begun is brought to its end, and the
//! person learns how far it came.

use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt as _;

/// Told to stop, or not yet.
pub struct Interrupt {
    coming: Pin<Box<dyn Future<Output = ()> + Send>>,
    came: bool,
}

impl Interrupt {
    /// From now on Ctrl-C is noticed here, and no longer ends the process by itself.
    pub fn listen() -> Self {
        Self::when(async {
            if tokio::signal::ctrl_c().await.is_err() {
                // Nobody listens then, and Ctrl-C does what it always does.
                std::future::pending::<()>().await;
            }
        })
    }

    /// Comes when `coming` does.
    pub fn when(coming: impl Future<Output = ()> + Send + 'static) -> Self {
        let mut interrupt = Self {
            coming: Box::pin(coming),
            came: false,
        };
        // A signal is listened for from the first look on.
        interrupt.came();
        interrupt
    }

    /// Whether it came.
    pub fn came(&mut self) -> bool {
        self.came = self.came || self.coming.as_mut().now_or_never().is_some();
        self.came
    }

    /// Waits so long, or until it comes.
    pub async fn or_after(&mut self, pause: Duration) {
        if self.came {
            return;
        }
        tokio::select! {
            () = self.coming.as_mut() => self.came = true,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_comes_once_and_stays() {
        let (tell, told) = tokio::sync::oneshot::channel::<()>();
        let mut interrupt = Interrupt::when(async {
            let _told = told.await;
        });
        interrupt.or_after(Duration::from_secs(1)).await;
        assert!(!interrupt.came());
        tell.send(()).unwrap();
        interrupt.or_after(Duration::from_secs(3600)).await;
        assert!(interrupt.came());
        assert!(interrupt.came());
    }
}
