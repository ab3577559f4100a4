-- Times are microseconds since the Unix epoch, by the database's clock; event times milliseconds,
-- as the sender counts. The tables are those of the embedded store, so that both are read alike.
-- What differs: a row that every replica would write is split up, one part for each of them.

CREATE TABLE meta (
    key   text PRIMARY KEY,
    value bigint NOT NULL
);

-- A URL pushes came to. Few; replicas read them into memory. `used` is an hour behind at most.
CREATE TABLE routes (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tag   text,
    query text,
    used  bigint NOT NULL
);

CREATE UNIQUE INDEX routes_by_url ON routes ((coalesce(tag, '')), (coalesce(query, '')), (tag IS NULL), (query IS NULL));

-- Nothing is claimed for the sink before `held_until`.
CREATE TABLE sinks (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL UNIQUE,
    held_until bigint
);

-- Unsettled deliveries of a sink, and stored events (as sink 0), each as a sum over parts: no two
-- replicas wait for each other's counter.
CREATE TABLE tallies (
    sink bigint NOT NULL,
    part integer NOT NULL,
    n    bigint NOT NULL,
    PRIMARY KEY (sink, part)
) WITH (fillfactor = 50);

-- Drawn only while the row of the event's subject is locked, so that a subject's positions rise in
-- the order in which its events are committed.
CREATE SEQUENCE positions;

-- Leases of what waited. What is leased when it is stored has its negative position for a token.
CREATE SEQUENCE tokens;

-- What was seen. Outlives the events, and is pruned by age only.
CREATE TABLE keys (
    key      bytea PRIMARY KEY,
    seq      bigint NOT NULL,
    received bigint NOT NULL
);

-- Written at its end only, and what makes forgetting cost no more than what is forgotten.
CREATE INDEX keys_by_age ON keys (received);

-- `lane` is what orders the event: its subject's id, or the negative seq when it has none.
-- `previous` leads to the event of the same lane before it.
CREATE TABLE events (
    seq          bigint PRIMARY KEY,
    lane         bigint NOT NULL,
    previous     bigint,
    route        bigint NOT NULL,
    event_id     text,
    event_type   text NOT NULL,
    event_time   bigint,
    subject      text,
    outcome      smallint NOT NULL,
    command      boolean NOT NULL,
    origin       smallint NOT NULL,
    source_ip    text,
    peer_ip      text,
    received     bigint NOT NULL,
    trace_parent text,
    body         bytea NOT NULL
);

-- The id is 63 bits of a digest of route and subject. `last_time` is the mark: the newest accepted
-- event time.
CREATE TABLE subjects (
    id            bigint PRIMARY KEY,
    route         bigint NOT NULL,
    subject       text NOT NULL,
    last_time     bigint,
    last_seq      bigint,
    last_received bigint NOT NULL
) WITH (fillfactor = 45);

-- One row per sink and lane with unsettled work: a list of deliveries from `head` to `tail`.
-- `available` is when the head falls due, or when its lease ends; `latest` is the last delivery
-- that makes those before it needless.
CREATE TABLE lanes (
    sink      bigint NOT NULL,
    lane      bigint NOT NULL,
    head      bigint NOT NULL,
    tail      bigint NOT NULL,
    leased    boolean NOT NULL,
    available bigint NOT NULL,
    token     bigint,
    latest    bigint,
    PRIMARY KEY (sink, lane)
);

-- Not by sink first: where statistics say that there are few lanes, this one must not seem as good a
-- way to a single one as the primary key is.
CREATE INDEX lanes_by_time ON lanes (leased, sink, available, head);

-- state: 0 pending, 2 delivered, 3 dead, 4 superseded, 5 expired, 6 dropped.
-- A leased delivery is a pending one at the head of a leased lane.
CREATE TABLE deliveries (
    seq        bigint NOT NULL,
    sink       bigint NOT NULL,
    state      smallint NOT NULL,
    attempts   integer NOT NULL,
    previous   bigint,
    next       bigint,
    replay     boolean NOT NULL DEFAULT false,
    latest     boolean NOT NULL DEFAULT false,
    settled    bigint,
    last_error text,
    dead       boolean GENERATED ALWAYS AS (state = 3) STORED,
    PRIMARY KEY (seq, sink)
) WITH (fillfactor = 50);

-- Not by `state` itself: what is delivered would leave an index behind that it was never in, and a row
-- that changes nothing an index has stays in its page, where there is room.
CREATE INDEX deliveries_dead ON deliveries (sink, seq) WHERE dead;

-- The last attempts of a delivery that failed, or whose answer is kept.
CREATE TABLE attempts (
    seq     bigint NOT NULL,
    sink    bigint NOT NULL,
    n       integer NOT NULL,
    began   bigint,
    ended   bigint NOT NULL,
    outcome text NOT NULL,
    status  bigint,
    error   text,
    answer  text,
    PRIMARY KEY (seq, sink, n)
);

-- Attempts that count against a rate: when they ended, or when their lease does at the latest.
CREATE TABLE sends (
    sink  bigint NOT NULL,
    ended bigint NOT NULL,
    token bigint NOT NULL,
    PRIMARY KEY (sink, token)
);

CREATE INDEX sends_by_end ON sends (sink, ended);

-- What answers of a sink said about a subject.
CREATE TABLE remembered (
    subject bigint NOT NULL,
    sink    bigint NOT NULL,
    name    text NOT NULL,
    value   text NOT NULL,
    PRIMARY KEY (subject, sink, name)
);

CREATE TABLE unreadable (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received  bigint NOT NULL,
    reason    text NOT NULL,
    tag       text,
    query     text,
    source_ip text,
    peer_ip   text,
    body      bytea NOT NULL
);

CREATE TABLE audit (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       bigint NOT NULL,
    who      text NOT NULL,
    action   text NOT NULL,
    selector text NOT NULL,
    count    bigint NOT NULL,
    reason   text NOT NULL
);

-- Records of the sender's history that were dealt with, so that none is fetched twice. How far the
-- history was read, and where that began, stands in `meta`.
CREATE TABLE recovered (
    id      bytea PRIMARY KEY,
    handled bigint NOT NULL
);
