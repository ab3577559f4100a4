//! One step over the box of unreadable pushes: the oldest of what is selected first, and none that
//! came in after the newest at the first step.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;

use super::{BoxItem, BoxRequest, BoxStep, DropRequest, Select};
use crate::admin::AdminHooks;
use crate::admin::api::{Reoffered, store_problem};
use crate::admin::audit::selected;
use crate::admin::params::{limit_in_body, moment_in_body, route, unprocessable, wrong_cursor};
use crate::inbox::query::{Page, UnreadableFilter, UnreadableRow};
use crate::inbox::{Audit, Inbox};
use crate::intake::problem::Problem;

/// Pushes of a step when the request does not say: each is offered by itself.
const STEP: usize = 100;

/// What the audit calls it.
pub(super) const OFFER: &str = "offer_unreadable";
const DROP: &str = "drop_unreadable";

const NEEDS_REASON: &str = "a drop needs a reason, which is kept in the audit";

/// Who empties the box where.
pub struct BoxHand<'a> {
    /// The store.
    pub inbox: &'a dyn Inbox,
    /// For the audit.
    pub who: String,
    /// Now.
    pub now: Timestamp,
}

impl BoxHand<'_> {
    /// Offers those of one step again.
    ///
    /// # Errors
    /// A problem that says what is wrong with the request, or with the store.
    pub async fn offer(
        &self,
        request: &BoxRequest,
        hooks: &dyn AdminHooks,
    ) -> Result<BoxStep, Problem> {
        let (page, mut step) = self.look(request).await?;
        let ids: Vec<i64> = page.items.iter().map(|row| row.id).collect();
        if request.dry_run {
            for id in ids {
                let carried = hooks.read_unreadable(id).await;
                step.note(
                    id,
                    carried.map(|carried| (carried.event_id, "readable", carried.command)),
                )?;
            }
            return Ok(step);
        }
        if ids.is_empty() {
            return Ok(step);
        }
        let audit = self.audit(OFFER, request);
        let offered = hooks.offer_unreadable(ids.clone(), audit).await?;
        for (id, offered) in ids.into_iter().zip(offered) {
            step.note(id, offered.map(told))?;
        }
        Ok(step)
    }

    /// Drops those of one step.
    ///
    /// # Errors
    /// As [`BoxHand::offer`].
    pub async fn drop(&self, request: &BoxRequest) -> Result<BoxStep, Problem> {
        if request
            .reason
            .as_deref()
            .unwrap_or_default()
            .trim()
            .is_empty()
        {
            return Err(unprocessable(NEEDS_REASON));
        }
        let (page, mut step) = self.look(request).await?;
        let ids: Vec<i64> = page.items.iter().map(|row| row.id).collect();
        let gone = if request.dry_run || ids.is_empty() {
            vec![true; ids.len()]
        } else {
            let audit = self.audit(DROP, request);
            let gone = self.inbox.remove_unreadable(ids.clone(), audit, self.now);
            gone.await.map_err(store_problem)?
        };
        for (id, gone) in ids.into_iter().zip(gone) {
            step.count(id, if gone { "dropped" } else { "gone" });
        }
        Ok(step)
    }

    /// Drops one; false when there was none.
    ///
    /// # Errors
    /// As [`BoxHand::offer`].
    pub async fn drop_one(&self, id: i64, request: DropRequest) -> Result<bool, Problem> {
        let DropRequest { reason } = request;
        if reason.trim().is_empty() {
            return Err(unprocessable(NEEDS_REASON));
        }
        let audit = one(DROP, self.who.clone(), (id, reason));
        let gone = self
            .inbox
            .remove_unreadable(vec![id], audit, self.now)
            .await;
        Ok(gone.map_err(store_problem)? == [true])
    }

    /// What a step is about, and the step before anything was done.
    async fn look(&self, request: &BoxRequest) -> Result<(Page<UnreadableRow>, BoxStep), Problem> {
        if request.select == Select::default() && !request.all {
            return Err(unprocessable(
                "this would change all that is in the box; select by since, until, source, reason \
                 or route, or say \"all\": true",
            ));
        }
        let mut filter = self.filter(request)?;
        let upto = match filter.upto {
            Some(upto) => upto,
            None => self.newest().await?,
        };
        filter.upto = Some(upto);
        let page = self
            .inbox
            .unreadables(filter)
            .await
            .map_err(store_problem)?;
        let step = BoxStep {
            changed: 0,
            skipped: BTreeMap::new(),
            commands: 0,
            items: Vec::with_capacity(page.items.len()),
            upto,
            next_cursor: page
                .next_cursor
                .as_ref()
                .map(|next| format!("{upto}:{next}")),
        };
        Ok((page, step))
    }

    fn filter(&self, request: &BoxRequest) -> Result<UnreadableFilter, Problem> {
        let limit = limit_in_body(request.limit, STEP)?;
        let (upto, cursor) = match &request.cursor {
            None => (request.upto, None),
            Some(text) => {
                let (upto, cursor) = place(text).ok_or_else(|| wrong_cursor(text))?;
                (Some(upto), Some(cursor))
            }
        };
        let select = &request.select;
        Ok(UnreadableFilter {
            cursor,
            limit,
            oldest_first: true,
            upto,
            since: moment_in_body("since", select.since.as_deref(), self.now)?,
            until: moment_in_body("until", select.until.as_deref(), self.now)?,
            source: select.source.map(|ip| ip.to_canonical()),
            reason: select.reason.clone(),
            route: select.route.as_deref().map(route),
        })
    }

    async fn newest(&self) -> Result<i64, Problem> {
        let page = self.inbox.unreadables(UnreadableFilter::newest(1)).await;
        let page = page.map_err(store_problem)?;
        Ok(page.items.first().map_or(0, |row| row.id))
    }

    fn audit(&self, action: &'static str, request: &BoxRequest) -> Audit {
        Audit {
            who: self.who.clone(),
            action,
            selector: selector(&request.select),
            reason: request.reason.clone().unwrap_or_default(),
        }
    }
}

impl BoxStep {
    /// What became of a push that was offered: its event's id, a word for it, and whether it is a
    /// command. Fails for what is wrong with the store rather than with the push.
    fn note(
        &mut self,
        id: i64,
        offered: Result<(Option<String>, &'static str, bool), Problem>,
    ) -> Result<(), Problem> {
        match offered {
            Ok((event_id, result, command)) => {
                self.count(id, result);
                self.commands += u64::from(command && result != "differs");
                if let Some(item) = self.items.last_mut() {
                    item.event_id = event_id;
                }
            }
            Err(problem) if problem.status == StatusCode::NOT_FOUND => self.count(id, "gone"),
            Err(problem) if problem.status == StatusCode::UNPROCESSABLE_ENTITY => {
                self.count(id, "unusable");
                if let Some(item) = self.items.last_mut() {
                    item.detail = Some(problem.detail.into_owned());
                }
            }
            Err(problem) => return Err(problem),
        }
        Ok(())
    }

    fn count(&mut self, id: i64, result: &'static str) {
        if ["unusable", "differs", "gone"].contains(&result) {
            *self.skipped.entry(result.to_owned()).or_default() += 1;
        } else {
            self.changed += 1;
        }
        self.items.push(BoxItem {
            id,
            event_id: None,
            result: result.to_owned(),
            detail: None,
        });
    }
}

fn told(offered: Reoffered) -> (Option<String>, &'static str, bool) {
    let word = match offered.stays {
        true => "differs",
        false => offered.outcome.as_str(),
    };
    (offered.event_id, word, offered.command)
}

/// Up to where, and from where on.
fn place(text: &str) -> Option<(i64, i64)> {
    let (upto, cursor) = text.split_once(':')?;
    Some((upto.parse().ok()?, cursor.parse().ok()?))
}

/// What was selected, for the audit.
fn selector(select: &Select) -> String {
    let selected = selected([
        ("since", select.since.clone()),
        ("until", select.until.clone()),
        ("source", select.source.map(|ip| ip.to_string())),
        ("reason", select.reason.clone()),
        ("route", select.route.clone()),
    ]);
    match selected.is_empty() {
        true => "all".to_owned(),
        false => selected,
    }
}

/// What the audit says of one push.
pub(super) fn one(action: &'static str, who: String, (id, reason): (i64, String)) -> Audit {
    Audit {
        who,
        action,
        selector: format!("id={id}"),
        reason,
    }
}
