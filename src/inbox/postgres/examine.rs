//! Looking at a database without using it: nothing is made, and nothing is changed.

use jiff::Timestamp;
use tokio_postgres::GenericClient;

use super::error::Failure;
use super::gate::{self, MIGRATIONS, Refused};
use super::time::timestamp;
use super::{PostgresInbox, PostgresOpenError, sql};
use crate::inbox::InboxError;

/// The version of the tables from which on receivers say that they are there.
const SAID_SINCE: usize = 5;

/// One round trip, and none of the store's own tables.
const SERVER: &str = "SELECT current_setting('server_version'), \
     current_setting('max_connections')::bigint \
         - current_setting('superuser_reserved_connections')::bigint, \
     (SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL), \
     (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, \
     coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), \
     coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false), \
     current_setting('synchronous_commit'), current_setting('synchronous_standby_names') <> ''";

/// Receivers that said within the last minute that they are there.
const RECEIVERS: &str =
    "SELECT count(*) FROM replicas WHERE seen > inbox_now(NULL::bigint) - 60000000";

/// What a fit database says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// The server's version.
    pub server: String,
    /// Connections that it takes of ordinary roles.
    pub connections: i64,
    /// Connections that there are, this one among them.
    pub used: i64,
    /// What time it is there.
    pub now: Timestamp,
    /// Whether tables can be made.
    pub may_create: bool,
    /// Whether the connection is encrypted.
    pub encrypted: bool,
    /// What a commit waits for, unless it says so itself as the store's do.
    pub synchronous_commit: String,
    /// Whether a commit waits for standbys, too.
    pub waits_for_standbys: bool,
    /// The version of the store's tables; zero where there are none yet.
    pub schema: usize,
    /// Receivers that use it now.
    pub receivers: i64,
}

impl PostgresInbox {
    /// Looks at the database as the start does, and makes nothing.
    ///
    /// # Errors
    /// When it is unfit, denies itself, is away, or was written by a later version.
    pub async fn examine(&self) -> Result<Examined, PostgresOpenError> {
        let examined = self.look().await;
        examined.map_err(|refused| self.told(refused))
    }

    async fn look(&self) -> Result<Examined, Refused> {
        let mut session = self.connection().await?;
        gate::look_at_server(&mut session).await?;
        let schema = gate::version(&mut session).await?;
        if schema > MIGRATIONS.len() {
            return Err(gate::from_later(schema));
        }
        let client = session.raw();
        let mut examined = server(client).await?;
        examined.schema = schema;
        if schema >= SAID_SINCE {
            examined.receivers = receivers(client).await?;
        }
        Ok(examined)
    }
}

async fn server(client: &(impl GenericClient + Sync)) -> Result<Examined, Failure> {
    let row = sql::row(client, SERVER, &[]).await?;
    let row = row.ok_or_else(|| InboxError::Away("does not say its settings".to_owned()))?;
    Ok(Examined {
        server: row.try_get(0)?,
        connections: row.try_get(1)?,
        used: row.try_get(2)?,
        now: timestamp(row.try_get(3)?),
        may_create: row.try_get(4)?,
        encrypted: row.try_get(5)?,
        synchronous_commit: row.try_get(6)?,
        waits_for_standbys: row.try_get(7)?,
        schema: 0,
        receivers: 0,
    })
}

async fn receivers(client: &(impl GenericClient + Sync)) -> Result<i64, Failure> {
    let row = sql::row(client, RECEIVERS, &[]).await?;
    Ok(row.map_or(Ok(0), |row| row.try_get(0))?)
}
