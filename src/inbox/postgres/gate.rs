//! The start gate: what must be true of the database before the first commit.

use std::time::Duration;

use super::error::{Failure, sort};
use super::session::{Call, Session};
use crate::inbox::InboxError;

/// PostgreSQL 13, as `server_version_num` has it: the oldest one that is looked after.
const OLDEST: i32 = 130_000;
/// Held while the schema is looked at and changed: the letters `FDRi`. Behind whoever waits for a table
/// that a backup reads all others wait as well, so that is tried for a moment at a time only.
const LOCK_SCHEMA: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on; \
     SELECT pg_advisory_xact_lock(1178882665); SET LOCAL lock_timeout = '200ms'";
const ROLLBACK: &str = "ROLLBACK";
/// Between two such moments.
const TRY_AGAIN: Duration = Duration::from_millis(500);
pub(super) const MIGRATIONS: [&str; 8] = [
    include_str!("migrations/0001_inbox.sql"),
    include_str!("migrations/0002_steps.sql"),
    include_str!("migrations/0003_changes.sql"),
    include_str!("migrations/0004_batches.sql"),
    include_str!("migrations/0005_replicas.sql"),
    include_str!("migrations/0006_leases.sql"),
    include_str!("migrations/0007_shared.sql"),
    include_str!("migrations/0008_interrupted.sql"),
];

/// Why a database is not used.
#[derive(Debug)]
pub(super) enum Refused {
    /// It cannot be asked now.
    Away(InboxError),
    /// It answers, and does not take this receiver, as things are.
    Denied(String),
    /// What is wrong with it, and what to do.
    Unfit(String),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Away(failure.into())
    }
}

/// Passes the gate, and brings the schema up to date.
pub(super) async fn pass(session: &mut Session) -> Result<(), Refused> {
    look_at_server(session).await?;
    migrate(session).await
}

pub(super) async fn look_at_server(session: &mut Session) -> Result<(), Refused> {
    let settings = session
        .one(Call::new(
            "SELECT current_setting('server_version_num')::integer, \
             current_setting('server_version'), current_setting('fsync'), \
             current_setting('full_page_writes'), current_setting('server_encoding'), \
             pg_is_in_recovery()",
        ))
        .await?;
    let row = settings
        .first()
        .ok_or_else(|| Refused::Unfit("does not say its settings".to_owned()))?;
    let text = |column: usize| row.try_get::<_, &str>(column).unwrap_or_default();
    let number: i32 = row.try_get(0).map_err(Failure::from)?;
    let recovering: bool = row.try_get(5).map_err(Failure::from)?;
    judge(number, [text(1), text(2), text(3), text(4)], recovering)
}

fn judge(
    number: i32,
    [version, fsync, full_page_writes, encoding]: [&str; 4],
    recovering: bool,
) -> Result<(), Refused> {
    let fault = if number < OLDEST {
        format!("is PostgreSQL {version}; 13 or later is needed")
    } else if fsync != "on" {
        "runs with fsync = off: what it confirms does not survive a power cut; turn it on"
            .to_owned()
    } else if full_page_writes != "on" {
        "runs with full_page_writes = off: a power cut can damage it; turn it on".to_owned()
    } else if encoding != "UTF8" {
        format!("has the encoding {encoding}; make one with ENCODING 'UTF8'")
    } else if recovering {
        // It may become the primary any moment, or never.
        let what = "the database is a standby, which takes no writes; point store.url at the \
                    primary, or name all hosts with target_session_attrs=read-write";
        return Err(Refused::Denied(what.to_owned()));
    } else {
        return Ok(());
    };
    Err(Refused::Unfit(fault))
}

/// The version of the schema that is there; zero when there is none.
pub(super) async fn version(session: &mut Session) -> Result<usize, Refused> {
    // Asked of the catalog: `to_regclass` would answer from what this session remembers of the time
    // before it waited for the lock.
    let there = session
        .one(Call::new(
            "SELECT EXISTS (SELECT 1 FROM pg_class \
             WHERE relname = 'meta' AND relkind IN ('r', 'p') AND pg_table_is_visible(oid))",
        ))
        .await?;
    let there = there.first().is_some_and(|row| row.get(0));
    if !there {
        return Ok(0);
    }
    let foreign = || {
        Refused::Unfit(
            "has a table `meta` of another program; give the receiver a database, or a schema, of \
             its own"
                .to_owned(),
        )
    };
    let asked = session.client();
    // Unprepared: of another program's table nothing is known.
    let asked = asked.simple_query("SELECT value::text FROM meta WHERE key = 'schema'");
    let rows = match asked.await {
        Ok(rows) => rows,
        Err(error)
            if error
                .code()
                .is_some_and(|code| code.code().starts_with("42")) =>
        {
            return Err(foreign());
        }
        Err(error) => return Err(sort(&error).into()),
    };
    let value = rows.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
        _ => None,
    });
    value.ok_or_else(foreign)
}

async fn migrate(session: &mut Session) -> Result<(), Refused> {
    while {
        let there = version(session).await?;
        if there > MIGRATIONS.len() {
            return Err(from_later(there));
        }
        there < MIGRATIONS.len()
    } {
        next_step(session).await?;
    }
    Ok(())
}

/// The refusal of tables that this program does not know yet.
pub(super) fn from_later(schema: usize) -> Refused {
    Refused::Unfit(format!(
        "was written by a later version (schema {schema}, this program knows {}); run that version",
        MIGRATIONS.len()
    ))
}

/// Carries out the next migration, unless it has to be tried again. Replicas that start together do so
/// one after the other.
async fn next_step(session: &mut Session) -> Result<(), Refused> {
    session.begin(LOCK_SCHEMA).await?;
    let there = version(session).await?;
    let Some(step) = MIGRATIONS.get(there) else {
        session.end(ROLLBACK).await?;
        return Ok(());
    };
    let applied = async {
        let client = session.client();
        client.batch_execute(step).await?;
        client
            .batch_execute(&format!(
                "INSERT INTO meta (key, value) VALUES ('schema', {number}) \
                 ON CONFLICT (key) DO UPDATE SET value = {number}",
                number = there + 1
            ))
            .await
    };
    if let Err(error) = applied.await {
        let failure = sort(&error);
        if let Failure::Again(what) = &failure {
            tracing::debug!("the store's tables are in use and are changed later: {what}");
            session.end(ROLLBACK).await?;
            tokio::time::sleep(TRY_AGAIN).await;
            return Ok(());
        }
        return Err(match error.as_db_error() {
            Some(answer) => Refused::Unfit(format!(
                "does not take the tables of the store: {} (code {}); the role needs a schema that \
                 is its own, such as by GRANT CREATE ON SCHEMA public",
                answer.message(),
                answer.code().code()
            )),
            None => failure.into(),
        });
    }
    session.end(super::session::COMMIT).await?;
    tracing::info!("the store's tables are at version {}", there + 1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_would_lose_what_it_confirmed_is_refused_by_name() {
        let judged = |number, fsync, pages, encoding| match judge(
            number,
            ["12.3", fsync, pages, encoding],
            false,
        ) {
            Err(Refused::Unfit(what)) => what,
            other => format!("{other:?}"),
        };
        assert_eq!(judged(150_000, "on", "on", "UTF8"), "Ok(())");
        assert!(judged(120_003, "on", "on", "UTF8").contains("PostgreSQL 12.3"));
        assert!(judged(150_000, "off", "on", "UTF8").contains("fsync = off"));
        assert!(judged(150_000, "on", "off", "UTF8").contains("full_page_writes"));
        assert!(judged(150_000, "on", "on", "SQL_ASCII").contains("SQL_ASCII"));
        let standby = judge(150_000, ["15", "on", "on", "UTF8"], true);
        assert!(matches!(standby, Err(Refused::Denied(_))), "{standby:?}");
    }
}
