-- Events that wait for the database, in the order of arrival. Times are microseconds since the Unix
-- epoch, but for event_time: milliseconds, as the sender says it.
CREATE TABLE spilled (
    id INTEGER PRIMARY KEY,
    aside INTEGER NOT NULL DEFAULT 0,
    key BLOB,
    moves_mark INTEGER NOT NULL,
    event_id TEXT,
    event_type TEXT NOT NULL,
    event_time INTEGER,
    subject TEXT,
    tag TEXT,
    query TEXT,
    command INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    source_ip TEXT,
    peer_ip TEXT,
    received INTEGER NOT NULL,
    trace_parent TEXT,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
