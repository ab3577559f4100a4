-- Receivers that use this database, for people who look. Each writes its own row every few seconds,
-- and forgets those that have not done so for an hour.

CREATE TABLE replicas (
    name    text PRIMARY KEY,
    started bigint NOT NULL,
    seen    bigint NOT NULL,
    version text NOT NULL
) WITH (fillfactor = 50);
