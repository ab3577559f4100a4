//! Whether a sink has used up its rates.

use jiff::Timestamp;
use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

use super::timestamp;
use crate::inbox::postgres::error::Failure;
use crate::inbox::postgres::{sql, time};
use crate::inbox::{Rate, SinkId};

/// By the attempt whose leaving makes room for one more, for each of the rates. `given` is the time
/// where it is not the database's that counts.
pub(in crate::inbox::postgres) async fn exhausted(
    client: &(impl GenericClient + Sync),
    sink: SinkId,
    rates: &[Rate],
    given: Option<i64>,
) -> Result<Option<Timestamp>, Failure> {
    let mut until: Option<i64> = None;
    for rate in rates {
        let (window, others) = (time::micros(rate.window), rate.count.saturating_sub(1));
        let found = sql::row(
            client,
            "SELECT ended FROM sends WHERE sink = $1 AND ended > inbox_now($2) - $3 \
             ORDER BY ended DESC LIMIT 1 OFFSET $4",
            &[
                (&sink.0, Type::INT8),
                (&given, Type::INT8),
                (&window, Type::INT8),
                (&i64::from(others), Type::INT8),
            ],
        )
        .await?;
        let ended: Option<i64> = found.map(|row| row.try_get(0)).transpose()?;
        until = until.max(ended.map(|ended| ended.saturating_add(window)));
    }
    Ok(until.map(timestamp))
}
