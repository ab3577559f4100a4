//! What is said of looks that fail: one warning when it begins, and what is news after that.

use std::time::Duration;

use tokio::time::Instant;

use super::stop::Stop;

/// After a refusal that only a person can do something about, and between two complaints.
pub(super) const LONG: Duration = Duration::from_secs(3600);

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    /// Why nothing is recovered; said once for each cause.
    refused: Option<String>,
    /// When it was said that nothing can be recovered now.
    later: Option<Instant>,
}

impl Complaints {
    /// Says how a look went, where that is news, and how long to wait for the next at least.
    pub(super) fn tell(&mut self, looked: &Result<(), Stop>) -> Duration {
        let is_news = self.is_news(looked);
        match looked {
            Ok(()) if is_news => tracing::info!("the sender's history can be read again"),
            Err(Stop::Refused { what, .. }) if is_news => tracing::warn!(
                "nothing is recovered: {what}; flashduty.app_key needs the permission \
                 Integrations Read, and a plan that has it; asked again every hour without a further \
                 warning, when [flashduty] or [recover] changes, and after the command recover worked"
            ),
            Err(Stop::Later(what)) if is_news => tracing::warn!(
                "nothing can be recovered now, and is tried again: {what}; the sender keeps what it \
                 could not deliver for seven days"
            ),
            Err(stop) => tracing::debug!("nothing is recovered: {stop}"),
            Ok(()) => {}
        }
        match looked {
            Err(Stop::Refused { .. }) => LONG,
            Ok(()) | Err(Stop::Later(_)) => Duration::ZERO,
        }
    }

    /// Who refused before may refuse for something else from now on.
    pub(super) fn forget_refusal(&mut self) {
        self.refused = None;
    }

    fn is_news(&mut self, looked: &Result<(), Stop>) -> bool {
        match looked {
            Ok(()) => std::mem::take(self).was_told(),
            Err(Stop::Refused { cause, .. }) => {
                self.refused.replace(cause.clone()).as_ref() != Some(cause)
            }
            Err(Stop::Later(_)) => {
                let is_news = self.later.is_none_or(|told| told.elapsed() >= LONG);
                if is_news {
                    self.later = Some(Instant::now());
                }
                is_news
            }
        }
    }

    fn was_told(&self) -> bool {
        self.refused.is_some() || self.later.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(cause: &str, what: &str) -> Result<(), Stop> {
        Err(Stop::Refused {
            what: format!("{cause} {what}"),
            cause: cause.to_owned(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_news_once_for_each_cause_and_trouble_once_an_hour() {
        let mut complaints = Complaints::default();
        let later = || Err(Stop::Later("it is down".to_owned()));
        for (looked, is_news, what) in [
            (Ok(()), false, "nothing was wrong"),
            (refused("403 AccessDenied", "request 1"), true, "begins"),
            (refused("403 AccessDenied", "request 2"), false, "the same"),
            (later(), true, "another matter"),
            (later(), false, "within the hour"),
            (refused("403 AccessDenied", "request 3"), false, "still"),
            (refused("401 Unauthorized", "request 4"), true, "changed"),
            (Ok(()), true, "over"),
            (Ok(()), false, "as it should be"),
            (refused("401 Unauthorized", "request 5"), true, "again"),
            (later(), true, "again, too"),
        ] {
            assert_eq!(complaints.is_news(&looked), is_news, "{what}");
        }
        tokio::time::advance(LONG).await;
        assert!(complaints.is_news(&later()));
        assert!(!complaints.is_news(&refused("401 Unauthorized", "6")));
        complaints.forget_refusal();
        assert!(complaints.is_news(&refused("401 Unauthorized", "7")));
        assert_eq!(complaints.tell(&refused("401 Unauthorized", "8")), LONG);
        assert_eq!(complaints.tell(&later()), Duration::ZERO);
    }
}
