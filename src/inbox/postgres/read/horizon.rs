//! How far the events are complete, while several receivers commit them out of order.
//!
//! Positions come from a sequence before their transactions commit, and these commit in any order. A
//! reader may pass position L only once every transaction that drew one up to L has ended:
//!
//! 1. L is read from the sequence: all positions up to L were drawn before.
//! 2. A transaction number X is drawn **afterwards**, by a transaction that does nothing else.
//! 3. As soon as a snapshot's `xmin` is X or more, all transactions with a smaller number have ended,
//!    and whoever looks from then on sees up to L all there will ever be.
//!
//! Three things make this right, and it is wrong without any of them:
//! - **An admitting transaction has its number before it draws a position** (it begins with
//!   `pg_current_xact_id()`). Otherwise one that has drawn up to L could get a number behind X.
//! - X is drawn. The `xmax` of a snapshot in its place is one behind the newest transaction that has
//!   *ended*: one that still runs may have a higher number.
//! - The sequence keeps no positions back for a session (`CACHE 1`, as by default). Otherwise a smaller
//!   one could be given out after L was read.
//!
//! While nothing is drawn nothing is asked but the sequence, and no number is used up. Transactions that
//! write for long, of any database of the server, hold this up: `xmin` does not tell whose they are.

use tokio_postgres::GenericClient;

use crate::inbox::postgres::error::Failure;
use crate::inbox::postgres::sql;
use crate::inbox::{Horizon, Seq};

/// A sequence that nobody has drawn from says 1 as well.
const DRAWN: &str = "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END \
     FROM positions";
const NUMBER: &str = "SELECT pg_current_xact_id()::text::int8";
const SNAPSHOT: &str = "SELECT pg_snapshot_xmin(s)::text::int8, pg_snapshot_xmax(s)::text::int8 \
     FROM pg_current_snapshot() AS s";

/// What is known from one look to the next.
#[derive(Debug, Default)]
pub(in crate::inbox::postgres) struct Positions {
    /// Up to here all transactions that drew have ended.
    complete: i64,
    next: Option<Next>,
}

/// Up to `upto` it will be complete once all transactions below `number` have ended.
#[derive(Debug, Clone, Copy)]
struct Next {
    upto: i64,
    number: i64,
}

pub(in crate::inbox::postgres) async fn horizon(
    client: &(impl GenericClient + Sync),
    known: &mut Positions,
) -> Result<Horizon, Failure> {
    let drawn = one(client, DRAWN).await?;
    known.keep_below(drawn);
    if known.next.is_none() && drawn > known.complete {
        let number = one(client, NUMBER).await?;
        let upto = drawn;
        known.next = Some(Next { upto, number });
    }
    if let Some(next) = known.next {
        let snapshot = sql::row(client, SNAPSHOT, &[]).await?;
        let snapshot = snapshot.ok_or_else(nothing)?;
        known.ended(next, (snapshot.try_get(0)?, snapshot.try_get(1)?));
    }
    Ok(Horizon {
        complete: Seq(known.complete),
        drawn: Seq(drawn),
    })
}

impl Positions {
    /// Forgets what another copy of the database told, which was ahead and is gone.
    fn keep_below(&mut self, drawn: i64) {
        self.complete = self.complete.min(drawn);
        self.next = self.next.filter(|next| next.upto <= drawn);
    }

    /// Takes in a snapshot that was made after `next` was.
    fn ended(&mut self, next: Next, (xmin, xmax): (i64, i64)) {
        if xmin >= next.number {
            self.complete = next.upto;
            self.next = None;
        } else if xmax <= next.number {
            // The number was used, and this server has not heard of it: another copy took over.
            self.next = None;
        }
    }
}

async fn one(client: &(impl GenericClient + Sync), statement: &str) -> Result<i64, Failure> {
    let row = sql::row(client, statement, &[]).await?;
    Ok(row.ok_or_else(nothing)?.try_get(0)?)
}

fn nothing() -> Failure {
    Failure::Again("no position was told".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_complete_waits_for_every_transaction_with_a_smaller_number() {
        let mut known = Positions::default();
        let next = Next {
            upto: 40,
            number: 700,
        };
        known.next = Some(next);
        known.ended(next, (699, 702));
        assert_eq!(known.complete, 0, "699 still runs");
        known.ended(next, (700, 702));
        assert_eq!(known.complete, 40);
        assert!(known.next.is_none());
    }

    #[test]
    fn what_a_copy_told_that_is_gone_is_forgotten() {
        let mut known = Positions {
            complete: 50,
            next: Some(Next {
                upto: 60,
                number: 700,
            }),
        };
        known.keep_below(55);
        assert_eq!(known.complete, 50);
        assert!(known.next.is_none(), "60 was drawn from another copy");
        known.keep_below(20);
        assert_eq!(known.complete, 20);
        let next = Next {
            upto: 21,
            number: 700,
        };
        known.next = Some(next);
        known.ended(next, (600, 600));
        assert_eq!(known.complete, 20);
        assert!(known.next.is_none(), "700 is not known here");
    }
}
