-- No lane where nothing waits. What is leased by the transaction that stores it, and is the only one
-- of its lane, is told by its own row; a lane is made of it when something comes behind it, when it
-- is tried again, or when its lease runs out. Until then all such deliveries of a transaction and a
-- sink share one lease, so that a lease costs a row for a batch and none for a delivery.
--
-- Three things make this right:
-- - A delivery that is ordered by its subject is under a shared lease only while its event is the
--   newest of the subject. Whoever stores another one, or puts something into the subject's lanes,
--   holds the subject's row and gives what is under way a lane first.
-- - Where there is a lane, nothing of it is under a shared lease.
-- - Who takes deliveries out of shared leases and waits for their rows takes them in the order of
--   their positions, all at once, between the subjects and the keys. Whoever takes others passes
--   over what is locked.

-- `id` is the first position under the lease and stands, negative, for a token; `upto` is the last
-- one. Positions between them may be under other leases, or under none.
CREATE TABLE leases (
    sink bigint NOT NULL,
    id   bigint NOT NULL,
    upto bigint NOT NULL,
    ends bigint NOT NULL,
    PRIMARY KEY (sink, id)
);

-- Empty one moment and not the next: to give back the room at their ends would lock out everybody.
ALTER TABLE leases SET (autovacuum_vacuum_scale_factor = 0.02, vacuum_truncate = false);
ALTER TABLE lanes SET (vacuum_truncate = false);
ALTER TABLE sends SET (vacuum_truncate = false);

-- `lease` is the shared lease it is under; `own` says that its lane, should it get one, is its own.
-- In no index, so that what ends stays in its page, where there is room: as a page's deliveries may
-- all end in one transaction, for each of them a second time, which is a little longer.
ALTER TABLE deliveries
    ADD COLUMN own boolean NOT NULL DEFAULT false,
    ADD COLUMN lease bigint;
ALTER TABLE deliveries SET (fillfactor = 47);

-- Takes deliveries out of their shared leases: those of given tokens, which end as `states` says or
-- go on where it says nothing; those of the subjects' newest events; and those of given events. What
-- goes on has a lane from now on. Returns what ended. Leases under which nothing is left are removed,
-- where a token of theirs was given.
CREATE FUNCTION inbox_leave(
    of_subjects bigint[], of_events bigint[], seqs bigint[], sinks bigint[], tokens bigint[],
    states smallint[], errors text[], at bigint
) RETURNS TABLE (seq bigint, sink bigint) LANGUAGE plpgsql AS $$
DECLARE
    oldest bigint;
BEGIN
    SELECT min(l.id) INTO oldest FROM leases l;
    IF oldest IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH these AS MATERIALIZED (
        SELECT DISTINCT ON (u.seq, u.sink) u.seq, u.sink, u.lease, u.state, u.error FROM (
            SELECT g.seq, g.sink, -g.token AS lease, coalesce(g.state, 0::smallint) AS state, g.error
              FROM unnest(seqs, sinks, tokens, states, errors) AS g (seq, sink, token, state, error)
             WHERE g.token < 0
            UNION ALL
            -- What is older than every lease is not looked at: its row may be long out of memory.
            SELECT d.seq, d.sink, d.lease, 0::smallint, NULL::text
              FROM subjects s JOIN deliveries d ON d.seq = s.last_seq
             WHERE s.id = ANY(of_subjects) AND s.last_seq >= oldest
               AND d.lease IS NOT NULL AND NOT d.own
            UNION ALL
            SELECT d.seq, d.sink, d.lease, 0::smallint, NULL::text
              FROM deliveries d WHERE d.seq = ANY(of_events) AND d.lease IS NOT NULL
        ) u ORDER BY u.seq, u.sink, u.state DESC
    ), gone AS (
        UPDATE deliveries d
           SET state = t.state, lease = NULL,
               settled = CASE WHEN t.state > 0 THEN at ELSE d.settled END,
               last_error = coalesce(t.error, d.last_error)
          FROM these t
         WHERE d.seq = t.seq AND d.sink = t.sink AND d.lease = t.lease
        RETURNING t.seq, t.sink, t.lease, t.state, d.own, d.latest
    ), apart AS (
        INSERT INTO lanes (sink, lane, head, tail, leased, available, token, latest)
        SELECT g.sink, CASE WHEN g.own THEN -g.seq ELSE e.lane END, g.seq, g.seq, true,
               coalesce(l.ends, at), -g.lease, CASE WHEN g.latest THEN g.seq END
          FROM gone g JOIN events e ON e.seq = g.seq
               LEFT JOIN leases l ON l.sink = g.sink AND l.id = g.lease
         WHERE g.state = 0
    )
    SELECT g.seq, g.sink FROM gone g WHERE g.state > 0;

    DELETE FROM leases l
     USING (SELECT DISTINCT u.sink, -u.token AS id FROM unnest(sinks, tokens) AS u (sink, token)
             WHERE u.token < 0 ORDER BY 1, 2) t
     WHERE l.sink = t.sink AND l.id = t.id
       AND NOT EXISTS (
           SELECT 1 FROM deliveries d
            WHERE d.seq BETWEEN l.id AND l.upto AND d.sink = l.sink AND d.lease = l.id);
END
$$;

-- Gives lanes to what is under way of the subjects' newest events and of given events.
CREATE FUNCTION inbox_give_lanes(of_subjects bigint[], of_events bigint[], at bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    -- As a batch does: plans are kept, and a batch may be the next to use them.
    PERFORM set_config('enable_seqscan', 'off', true),
            set_config('enable_hashjoin', 'off', true),
            set_config('enable_mergejoin', 'off', true);
    PERFORM inbox_leave(of_subjects, of_events, '{}', '{}', '{}', '{}', '{}', at);
END
$$;

-- Gives lanes to what is left under shared leases of a sink that ran out, to `most` deliveries or a few
-- more, so that they are claimed. What somebody else takes out this moment is left alone, and its
-- lease is looked at again.
CREATE FUNCTION inbox_run_out(of_sink bigint, most bigint, at bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    g record;
    number bigint;
    taken bigint := 0;
BEGIN
    FOR g IN
        SELECT l.id, l.upto, l.ends FROM leases l WHERE l.sink = of_sink AND l.ends <= at
         ORDER BY l.ends, l.id FOR UPDATE SKIP LOCKED
    LOOP
        WITH these AS MATERIALIZED (
            SELECT d.seq, d.own, d.latest FROM deliveries d
             WHERE d.seq BETWEEN g.id AND g.upto AND d.sink = of_sink AND d.lease = g.id
               FOR UPDATE SKIP LOCKED
        ), gone AS (
            UPDATE deliveries d SET lease = NULL FROM these t
             WHERE d.seq = t.seq AND d.sink = of_sink
        )
        INSERT INTO lanes (sink, lane, head, tail, leased, available, token, latest)
        SELECT of_sink, CASE WHEN t.own THEN -t.seq ELSE e.lane END, t.seq, t.seq, true,
               g.ends, -g.id, CASE WHEN t.latest THEN t.seq END
          FROM these t JOIN events e ON e.seq = t.seq;
        GET DIAGNOSTICS number = ROW_COUNT;
        taken := taken + number;

        DELETE FROM leases l
         WHERE l.sink = of_sink AND l.id = g.id
           AND NOT EXISTS (
               SELECT 1 FROM deliveries d
                WHERE d.seq BETWEEN g.id AND g.upto AND d.sink = of_sink AND d.lease = g.id);
        EXIT WHEN taken >= most;
    END LOOP;
END
$$;

-- As before (`0002_steps.sql`), and shared leases that ran out are found.
CREATE OR REPLACE FUNCTION inbox_claim(
    of_sink bigint, slots bigint, most_bytes bigint, ttl bigint, most bigint[], windows bigint[],
    probe boolean, with_memory boolean, at bigint
) RETURNS TABLE (
    what integer, n bigint, seq bigint, lane bigint, attempt integer, interrupted boolean,
    replay boolean, outcome smallint, event_id text, event_type text, event_time bigint,
    subject text, tag text, query text, command boolean, source_ip text, peer_ip text,
    received bigint, origin smallint, trace_parent text, body bytea, names text[], meanings text[]
) LANGUAGE plpgsql AS $$
DECLARE
    room bigint;
    due_by bigint := CASE WHEN probe THEN 9223372036854775807 ELSE at END;
    g record;
BEGIN
    n := inbox_allowed(of_sink, most, windows, at);
    what := 0;
    RETURN NEXT;
    room := least(slots, n);
    IF room <= 0 OR most_bytes <= 0 THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT 1 FROM leases l WHERE l.sink = of_sink AND l.ends <= at) THEN
        PERFORM inbox_run_out(of_sink, room, at);
    END IF;
    -- Nearly always nothing is due.
    IF NOT EXISTS (SELECT 1 FROM lanes l
                    WHERE l.sink = of_sink AND l.leased AND l.available <= at)
       AND NOT EXISTS (SELECT 1 FROM lanes l
                        WHERE l.sink = of_sink AND NOT l.leased AND l.available <= due_by)
    THEN
        RETURN;
    END IF;
    -- Where answers are remembered, the one that got lost is needed first.
    IF NOT with_memory THEN
        FOR g IN
            SELECT l.lane, l.head FROM lanes l
             WHERE l.sink = of_sink AND l.leased AND l.available <= at AND l.latest > l.head
             ORDER BY l.available, l.head LIMIT room FOR UPDATE SKIP LOCKED
        LOOP
            IF inbox_is_needless(g.head, of_sink, g.lane) THEN
                PERFORM inbox_supersede(g.head, of_sink, at);
                what := 3;
                seq := g.head;
                RETURN NEXT;
            END IF;
        END LOOP;
    END IF;
    RETURN QUERY
    WITH ended AS MATERIALIZED (
        SELECT l.lane, l.head, l.available FROM lanes l
         WHERE l.sink = of_sink AND l.leased AND l.available <= at
         ORDER BY l.available, l.head LIMIT room FOR UPDATE SKIP LOCKED
    ), waiting AS MATERIALIZED (
        SELECT l.lane, l.head, l.available FROM lanes l
         WHERE l.sink = of_sink AND NOT l.leased AND l.available <= due_by
         ORDER BY l.available, l.head LIMIT (SELECT room - count(*) FROM ended)
           FOR UPDATE SKIP LOCKED
    ), found AS (
        SELECT f.*, row_number() OVER (ORDER BY NOT f.was, f.available, f.head) AS nth FROM (
            SELECT ended.*, true AS was FROM ended UNION ALL
            SELECT waiting.*, false FROM waiting) f
    ), taken AS MATERIALIZED (
        SELECT f.lane, f.head, f.was, f.nth, nextval('tokens') AS token FROM (
            SELECT found.*, coalesce(sum(octet_length(e.body)) OVER (
                       ORDER BY found.nth ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)
                       AS before
              FROM found JOIN events e ON e.seq = found.head) f
         WHERE f.before < most_bytes
    ), leased AS (
        UPDATE lanes l SET leased = true, available = at + ttl, token = taken.token
          FROM taken WHERE l.sink = of_sink AND l.lane = taken.lane
    ), begun AS (
        UPDATE deliveries d SET attempts = d.attempts + 1
          FROM taken WHERE d.seq = taken.head AND d.sink = of_sink
        -- All that is asked for below: to join one with the other would cost their product.
        RETURNING d.attempts, d.replay, taken.*
    ), counted AS (
        INSERT INTO sends (sink, ended, token)
        SELECT of_sink, at + ttl, taken.token FROM taken WHERE cardinality(most) > 0
    )
    SELECT 1, begun.token, e.seq, begun.lane, begun.attempts, begun.was, begun.replay, e.outcome,
           e.event_id, e.event_type, e.event_time, e.subject, r.tag, r.query, e.command,
           e.source_ip, e.peer_ip, e.received, e.origin, e.trace_parent, e.body,
           CASE WHEN with_memory THEN ARRAY(
               SELECT m.name FROM remembered m
                WHERE m.subject = e.lane AND m.sink = of_sink ORDER BY m.name) END,
           CASE WHEN with_memory THEN ARRAY(
               SELECT m.value FROM remembered m
                WHERE m.subject = e.lane AND m.sink = of_sink ORDER BY m.name) END
      FROM begun JOIN events e ON e.seq = begun.head
           LEFT JOIN routes r ON r.id = e.route
     ORDER BY begun.nth;
END
$$;

-- As before, with the first shared lease to end.
CREATE OR REPLACE FUNCTION inbox_next_due(of_sink bigint, most bigint[], windows bigint[], at bigint)
RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    due bigint;
    leaves bigint;
BEGIN
    due := least(
        (SELECT min(l.available) FROM lanes l WHERE l.sink = of_sink AND NOT l.leased),
        (SELECT min(l.available) FROM lanes l WHERE l.sink = of_sink AND l.leased),
        (SELECT min(l.ends) FROM leases l WHERE l.sink = of_sink));
    IF due IS NULL THEN
        RETURN NULL;
    END IF;
    due := greatest(due, (SELECT s.held_until FROM sinks s WHERE s.id = of_sink));
    FOR i IN 1 .. cardinality(most) LOOP
        -- The attempt whose leaving makes room for one more.
        leaves := (SELECT s.ended FROM sends s
                    WHERE s.sink = of_sink AND s.ended > at - windows[i]
                    ORDER BY s.ended DESC LIMIT 1 OFFSET greatest(most[i] - 1, 0));
        due := greatest(due, leaves + windows[i]);
    END LOOP;
    RETURN due;
END
$$;
