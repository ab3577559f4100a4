-- What sinks other than the log need: superseding, rates, holds, memory, and a record of attempts and
-- of what people changed.

-- Whether a later delivery of the lane, of the same kind, makes this one needless; and of each lane
-- the latest of that kind.
ALTER TABLE deliveries ADD COLUMN latest INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lanes ADD COLUMN latest INTEGER;

-- Nothing is claimed for the sink before this.
ALTER TABLE sinks ADD COLUMN held_until INTEGER;

-- Attempts that count against a rate: when they ended, or when their lease does at the latest.
CREATE TABLE sends (
    sink  INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    token INTEGER NOT NULL,
    PRIMARY KEY (sink, ended, token)
) STRICT, WITHOUT ROWID;

-- What answers of a sink said about a subject.
CREATE TABLE remembered (
    subject INTEGER NOT NULL,
    sink    INTEGER NOT NULL,
    name    TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (subject, sink, name)
) STRICT, WITHOUT ROWID;

ALTER TABLE attempts ADD COLUMN began INTEGER;
ALTER TABLE attempts ADD COLUMN status INTEGER;
ALTER TABLE attempts ADD COLUMN answer TEXT;

CREATE TABLE audit (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    who      TEXT NOT NULL,
    action   TEXT NOT NULL,
    selector TEXT NOT NULL,
    count    INTEGER NOT NULL,
    reason   TEXT NOT NULL
) STRICT;
