-- Times are microseconds since the Unix epoch; event times milliseconds, as the sender counts.
-- Indexes are few and narrow: a random key dirties a page of its own for each event.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A URL pushes came to. Few; read into memory when the store opens.
CREATE TABLE routes (
    id    INTEGER PRIMARY KEY,
    tag   TEXT,
    query TEXT
) STRICT;

-- `pending` counts the sink's unsettled deliveries, kept by the transactions that change them.
CREATE TABLE sinks (
    id      INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    pending INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What was seen. Outlives the events, and is pruned by age only.
CREATE TABLE keys (
    key      BLOB PRIMARY KEY,
    seq      INTEGER NOT NULL,
    received INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `lane` is what orders the event: its subject's id, or the negative seq when it has none.
-- `previous` leads to the event of the same lane before it.
CREATE TABLE events (
    seq          INTEGER PRIMARY KEY,
    lane         INTEGER NOT NULL,
    previous     INTEGER,
    route        INTEGER NOT NULL,
    event_id     TEXT,
    event_type   TEXT NOT NULL,
    event_time   INTEGER,
    subject      TEXT,
    outcome      INTEGER NOT NULL,
    command      INTEGER NOT NULL,
    origin       INTEGER NOT NULL,
    source_ip    TEXT,
    peer_ip      TEXT,
    received     INTEGER NOT NULL,
    trace_parent TEXT,
    body         BLOB NOT NULL
) STRICT;

-- The id is 63 bits of a digest of route and subject, so that one b-tree serves for both.
-- `last_time` is the mark: the newest accepted event time.
CREATE TABLE subjects (
    id            INTEGER PRIMARY KEY,
    route         INTEGER NOT NULL,
    subject       TEXT NOT NULL,
    last_time     INTEGER,
    last_seq      INTEGER NOT NULL,
    last_received INTEGER NOT NULL
) STRICT;

-- One row per sink and lane with unsettled work: a list of deliveries from `head` to `tail`.
-- `available` is when the head falls due, or when its lease ends.
CREATE TABLE lanes (
    sink      INTEGER NOT NULL,
    lane      INTEGER NOT NULL,
    head      INTEGER NOT NULL,
    tail      INTEGER NOT NULL,
    leased    INTEGER NOT NULL,
    available INTEGER NOT NULL,
    token     INTEGER,
    PRIMARY KEY (sink, lane)
) STRICT, WITHOUT ROWID;

CREATE INDEX lanes_by_time ON lanes (sink, leased, available, head);

-- state: 0 pending, 2 delivered, 3 dead, 4 superseded, 5 expired, 6 dropped.
-- A leased delivery is a pending one at the head of a leased lane.
CREATE TABLE deliveries (
    seq        INTEGER NOT NULL,
    sink       INTEGER NOT NULL,
    state      INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    next       INTEGER,
    replay     INTEGER NOT NULL DEFAULT 0,
    settled    INTEGER,
    last_error TEXT,
    PRIMARY KEY (seq, sink)
) STRICT, WITHOUT ROWID;

CREATE INDEX deliveries_dead ON deliveries (sink, seq) WHERE state = 3;

CREATE TABLE attempts (
    seq     INTEGER NOT NULL,
    sink    INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    ended   INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    error   TEXT,
    PRIMARY KEY (seq, sink, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE unreadable (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    received  INTEGER NOT NULL,
    reason    TEXT NOT NULL,
    tag       TEXT,
    query     TEXT,
    source_ip TEXT,
    peer_ip   TEXT,
    bytes     INTEGER NOT NULL,
    body      BLOB NOT NULL
) STRICT;
