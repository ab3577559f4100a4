//! Work on large bodies, beside the threads that answer.
//!
//! There are few of those, and one that reads for some milliseconds holds up every push that it would
//! have answered meanwhile.

/// What is shorter than this takes no time worth a change of threads.
const SHORT: u64 = 64 << 10;

/// Works on so many bytes where that holds up nobody.
pub async fn aside<T: Send + 'static>(bytes: u64, work: impl FnOnce() -> T + Send + 'static) -> T {
    if bytes < SHORT {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            // It goes on where it would have come out without the other thread.
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only the runtime's end takes work away, and nobody is answered then.
            Err(_cancelled) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::thread::current;

    use super::*;

    #[tokio::test]
    async fn what_is_long_is_worked_on_by_another_thread_and_a_panic_comes_back() {
        let here = current().id();
        let worked = |bytes| aside(bytes, || current().id());
        assert_eq!(worked(SHORT - 1).await, here);
        assert_ne!(worked(SHORT).await, here);
        let mut broken = tokio::task::JoinSet::<()>::new();
        broken.spawn(aside(SHORT, || panic!("a bug")));
        let ended = broken.join_next().await.unwrap();
        assert!(ended.unwrap_err().is_panic());
    }
}
