//! Statements on one connection, many in flight at once.
//!
//! The server answers in order, so a list of statements costs one round trip. Behind a pooler that
//! gives every transaction another connection, statements have no names; else they are prepared
//! once. A connection that is dropped within a transaction is closed, not given back: whoever got it
//! next would go on in that transaction.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row, Statement};

use super::error::Failure;

/// How long a connection may take to leave a transaction that failed.
const ROLLBACK: Duration = Duration::from_secs(2);

/// A value that knows its type in the database.
pub(super) trait Typed: ToSql + Sync + Send {
    fn sql_type(&self) -> Type;
}

macro_rules! typed {
    ($($rust:ty => $sql:ident),+ $(,)?) => {$(
        impl Typed for $rust {
            fn sql_type(&self) -> Type {
                Type::$sql
            }
        }
    )+};
}

typed! {
    bool => BOOL, i32 => INT4, i64 => INT8, &str => TEXT, String => TEXT, &[u8] => BYTEA,
    Option<i64> => INT8, Option<&str> => TEXT, Option<String> => TEXT,
    Vec<bool> => BOOL_ARRAY, Vec<i16> => INT2_ARRAY, Vec<i32> => INT4_ARRAY, Vec<i64> => INT8_ARRAY,
    Vec<Option<i64>> => INT8_ARRAY, Vec<&str> => TEXT_ARRAY, Vec<Option<&str>> => TEXT_ARRAY,
    Vec<String> => TEXT_ARRAY, Vec<Option<String>> => TEXT_ARRAY, Vec<&[u8]> => BYTEA_ARRAY,
}

/// An array that may be left out: nothing is sent, nor unpacked by the server, which takes it for an
/// empty one.
impl<T> Typed for Option<Vec<T>>
where
    Vec<T>: Typed,
{
    fn sql_type(&self) -> Type {
        Vec::<T>::new().sql_type()
    }
}

/// One statement to run, with its values.
pub(super) struct Call<'v> {
    text: &'static str,
    /// No values and no rows; may hold several statements.
    plain: bool,
    values: Vec<Box<dyn Typed + 'v>>,
}

impl<'v> Call<'v> {
    pub(super) fn new(text: &'static str) -> Self {
        Self {
            text,
            plain: false,
            values: Vec::new(),
        }
    }

    /// Statements without values or rows, such as `BEGIN`.
    pub(super) fn plain(text: &'static str) -> Self {
        Self {
            plain: true,
            ..Self::new(text)
        }
    }

    /// The value of the next `$n`.
    pub(super) fn with(mut self, value: impl Typed + 'v) -> Self {
        self.values.push(Box::new(value));
        self
    }

    /// The values of the next `$n`, as an array; NULL where there are none.
    pub(super) fn each<T>(self, values: impl Iterator<Item = T>) -> Self
    where
        Vec<T>: Typed + 'v,
    {
        let values = values.collect::<Vec<T>>();
        self.with((!values.is_empty()).then_some(values))
    }

    fn types(&self) -> Vec<Type> {
        self.values.iter().map(|value| value.sql_type()).collect()
    }
}

/// Statements that go to the server together.
#[derive(Default)]
pub(super) struct Script<'v>(Vec<Call<'v>>);

/// A statement's place in a script.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(usize);

impl<'v> Script<'v> {
    /// Adds a statement; its place leads to its answer.
    pub(super) fn add(&mut self, call: Call<'v>) -> Place {
        self.0.push(call);
        Place(self.0.len() - 1)
    }

    /// Adds a statement where there is one.
    pub(super) fn maybe(&mut self, call: Option<Call<'v>>) -> Option<Place> {
        call.map(|call| self.add(call))
    }
}

/// The rows that each statement of a script answered with.
pub(super) struct Answers(Vec<Vec<Row>>);

impl Answers {
    /// Takes the rows of one statement; none where there was no statement.
    pub(super) fn take(&mut self, place: impl Into<Option<Place>>) -> Vec<Row> {
        let rows = place.into().and_then(|place| self.0.get_mut(place.0));
        rows.map(std::mem::take).unwrap_or_default()
    }
}

type Running<'f> = Pin<Box<dyn Future<Output = Result<Vec<Row>, Error>> + Send + 'f>>;

/// A connection of the pool, in use.
pub(super) struct Session {
    client: Option<Object>,
    unnamed: bool,
    in_transaction: bool,
}

impl Session {
    pub(super) fn new(client: Object, unnamed: bool) -> Self {
        Self {
            client: Some(client),
            unnamed,
            in_transaction: false,
        }
    }

    pub(super) fn client(&self) -> &Object {
        self.client.as_ref().expect("there until it is dropped")
    }

    /// The connection itself, for statements that stand alone.
    pub(super) fn raw(&mut self) -> &tokio_postgres::Client {
        self.client()
    }

    /// Runs a script in one round trip, and another one for each statement not prepared yet. All of
    /// them are sent before the first is answered.
    pub(super) async fn run(&mut self, script: &Script<'_>) -> Result<Answers, Failure> {
        let calls = &script.0;
        let ends = calls.last().is_some_and(|call| call.text == COMMIT);
        let mut statements = Vec::with_capacity(calls.len());
        for call in calls {
            statements.push(self.prepared(call).await?);
        }
        // From here on, until it is known to have ended.
        self.in_transaction |= calls.first().is_some_and(|call| call.plain);
        let client = self.client();
        let running = calls
            .iter()
            .zip(statements)
            .map(|(call, statement)| run_one(client, call, statement))
            .collect();
        let done = in_order(running).await;
        // The first that failed is the reason why the others did.
        let rows = done.into_iter().collect::<Result<Vec<_>, _>>()?;
        if ends {
            self.in_transaction = false;
        }
        Ok(Answers(rows))
    }

    /// Runs one statement that stands alone.
    pub(super) async fn one(&mut self, call: Call<'_>) -> Result<Vec<Row>, Failure> {
        let mut script = Script::default();
        let place = script.add(call);
        Ok(self.run(&script).await?.take(place))
    }

    /// Enters a transaction that goes on over several round trips.
    pub(super) async fn begin(&mut self, text: &str) -> Result<(), Failure> {
        self.in_transaction = true;
        Ok(self.client().batch_execute(text).await?)
    }

    /// Ends it.
    pub(super) async fn end(&mut self, text: &str) -> Result<(), Failure> {
        self.client().batch_execute(text).await?;
        self.in_transaction = false;
        Ok(())
    }

    async fn prepared(&self, call: &Call<'_>) -> Result<Option<Statement>, Error> {
        if self.unnamed || call.plain {
            return Ok(None);
        }
        let types = call.types();
        let prepared = self.client().prepare_typed_cached(call.text, &types);
        prepared.await.map(Some)
    }

    /// Leaves a transaction that failed, so that the connection can be used again. One that does not
    /// answer is closed.
    pub(super) async fn abandon(mut self) {
        if !self.in_transaction || self.client().is_closed() {
            return;
        }
        let rolled_back = self.client().batch_execute("ROLLBACK");
        if let Ok(Ok(())) = tokio::time::timeout(ROLLBACK, rolled_back).await {
            self.in_transaction = false;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.in_transaction
            && let Some(client) = self.client.take()
        {
            // Out of the pool, and closed: the server rolls back.
            drop(Object::take(client));
        }
    }
}

/// The last call of a transaction.
pub(super) const COMMIT: &str = "COMMIT";

fn run_one<'f>(
    client: &'f Object,
    call: &'f Call<'_>,
    statement: Option<Statement>,
) -> Running<'f> {
    Box::pin(async move {
        if call.plain {
            return client.batch_execute(call.text).await.map(|()| Vec::new());
        }
        match statement {
            Some(statement) => {
                let values: Vec<&(dyn ToSql + Sync)> =
                    call.values.iter().map(|value| as_sql(&**value)).collect();
                client.query(&statement, &values).await
            }
            None => {
                let values: Vec<(&(dyn ToSql + Sync), Type)> = call
                    .values
                    .iter()
                    .map(|value| (as_sql(&**value), value.sql_type()))
                    .collect();
                client.query_typed(call.text, &values).await
            }
        }
    })
}

fn as_sql<'v>(value: &'v (dyn Typed + 'v)) -> &'v (dyn ToSql + Sync + 'v) {
    value
}

/// Runs all to their ends. Each is polled, and so sent, in the order of the list.
async fn in_order(mut running: Vec<Running<'_>>) -> Vec<Result<Vec<Row>, Error>> {
    let mut done: Vec<Option<Result<Vec<Row>, Error>>> = running.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut all = true;
        for (future, result) in running.iter_mut().zip(&mut done) {
            if result.is_some() {
                continue;
            }
            match future.as_mut().poll(context) {
                Poll::Ready(rows) => *result = Some(rows),
                Poll::Pending => all = false,
            }
        }
        if all { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}
