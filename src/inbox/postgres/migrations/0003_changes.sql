-- What people change by hand, row by row, because each change sees those before it. Whoever calls
-- this holds the locks of the events, of their subjects and of the lanes they are in.

-- Gives up deliveries (0), or makes them wait again behind all that waits of their subjects (1) or on
-- their own (2). `done` is 0 where that was done, 1 where it waits already, 2 where an attempt is
-- running, 3 where it is settled otherwise, 4 where there is no such event; `waiting` is how many
-- more deliveries wait.
CREATE FUNCTION inbox_change(
    seqs bigint[], sinks bigint[], whats smallint[], error text, at bigint
) RETURNS TABLE (nth bigint, done smallint, waiting smallint) LANGUAGE plpgsql AS $$
DECLARE
    g record;
    of_event bigint;
    of_replay bigint;
    state smallint;
    running boolean;
    before bigint;
BEGIN
    FOR g IN
        SELECT u.* FROM unnest(seqs, sinks, whats) WITH ORDINALITY AS u (seq, sink, what, nth)
         ORDER BY u.nth
    LOOP
        nth := g.nth;
        waiting := 0;
        done := 0;
        SELECT e.lane INTO of_event FROM events e WHERE e.seq = g.seq;
        SELECT d.state INTO state FROM deliveries d WHERE d.seq = g.seq AND d.sink = g.sink;
        IF of_event IS NULL OR (g.what = 0 AND state IS NULL) THEN
            done := 4;
        ELSIF state = 0 THEN
            -- A lane of its own, which has the negative position for a number, comes first.
            SELECT l.head = g.seq AND l.leased AND l.available > at INTO running FROM lanes l
             WHERE l.sink = g.sink AND l.lane IN (-g.seq, of_event) ORDER BY l.lane LIMIT 1;
            IF running THEN
                done := 2;
            ELSIF g.what = 0 THEN
                PERFORM inbox_unlink(g.seq, g.sink, at);
                waiting := -1;
            ELSE
                done := 1;
            END IF;
        ELSIF g.what = 0 AND state <> 3 THEN
            done := 3;
        END IF;

        IF done = 0 AND g.what = 0 THEN
            UPDATE deliveries d SET state = 6, settled = at, last_error = error
             WHERE d.seq = g.seq AND d.sink = g.sink;
        ELSIF done = 0 THEN
            waiting := 1;
            of_replay := CASE g.what WHEN 2 THEN -g.seq ELSE of_event END;
            SELECT l.tail INTO before FROM lanes l WHERE l.sink = g.sink AND l.lane = of_replay;
            IF before IS NULL THEN
                INSERT INTO lanes (sink, lane, head, tail, leased, available)
                VALUES (g.sink, of_replay, g.seq, g.seq, false, at);
            ELSE
                UPDATE deliveries d SET next = g.seq WHERE d.seq = before AND d.sink = g.sink;
                UPDATE lanes l SET tail = g.seq WHERE l.sink = g.sink AND l.lane = of_replay;
            END IF;
            INSERT INTO deliveries (seq, sink, state, attempts, replay, previous)
            VALUES (g.seq, g.sink, 0, 0, true, before)
            ON CONFLICT ON CONSTRAINT deliveries_pkey DO UPDATE
               SET state = 0, attempts = 0, replay = true, previous = excluded.previous,
                   next = NULL, settled = NULL, latest = false;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

-- What is removed from the old end of a table, or moves within an index all day, keeps its place in
-- the index until a vacuum, and is passed over by every search from that end. By default a vacuum
-- waits for a fifth of the table.
ALTER TABLE events SET (
    autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE deliveries SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE attempts SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE keys SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE lanes SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE sends SET (autovacuum_vacuum_scale_factor = 0.02);
