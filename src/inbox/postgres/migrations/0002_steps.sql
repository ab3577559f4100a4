-- The steps of a transaction that depend on one another row by row: beside the data, so that a batch
-- costs a fixed number of round trips. Whoever calls them holds the locks of the lanes they change.

-- What time it is in this transaction: by this server's clock, unless the caller insists.
CREATE FUNCTION inbox_now(given bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(given, (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint)
$$;

-- Takes an unsettled delivery out of its lane; one behind it is due at once if it now comes first.
-- A lane of its own, which has the negative position for a number, comes before its subject's.
CREATE FUNCTION inbox_unlink(this bigint, of_sink bigint, at bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    place lanes%ROWTYPE;
    before bigint;
    behind bigint;
BEGIN
    SELECT l.* INTO place FROM lanes l
     WHERE l.sink = of_sink AND l.lane IN (-this, (SELECT e.lane FROM events e WHERE e.seq = this))
     ORDER BY l.lane LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT d.previous, d.next INTO before, behind FROM deliveries d
     WHERE d.seq = this AND d.sink = of_sink;
    -- At the head, what stands before it means nothing.
    IF place.head = this THEN
        before := NULL;
    END IF;
    IF before IS NOT NULL THEN
        UPDATE deliveries d SET next = behind WHERE d.seq = before AND d.sink = of_sink;
    END IF;
    IF behind IS NOT NULL THEN
        UPDATE deliveries d SET previous = before WHERE d.seq = behind AND d.sink = of_sink;
    END IF;
    IF place.head = this AND behind IS NULL THEN
        DELETE FROM lanes l WHERE l.sink = of_sink AND l.lane = place.lane;
    ELSIF place.head = this THEN
        UPDATE lanes l
           SET head = behind, leased = false, available = at, token = NULL,
               latest = nullif(l.latest, this)
         WHERE l.sink = of_sink AND l.lane = place.lane;
    ELSE
        UPDATE lanes l
           SET tail = CASE WHEN l.tail = this THEN before ELSE l.tail END,
               latest = nullif(l.latest, this)
         WHERE l.sink = of_sink AND l.lane = place.lane;
    END IF;
END
$$;

-- Settles a delivery that a later one of its lane makes needless.
CREATE FUNCTION inbox_supersede(this bigint, of_sink bigint, at bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM inbox_unlink(this, of_sink, at);
    UPDATE deliveries d SET state = 4, settled = at, last_error = 'a later event waits'
     WHERE d.seq = this AND d.sink = of_sink;
END
$$;

-- Whether a later delivery of the same kind waits behind this one.
CREATE FUNCTION inbox_is_needless(this bigint, of_sink bigint, of_lane bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT 1 FROM lanes l JOIN deliveries d ON d.seq = this AND d.sink = of_sink
         WHERE l.sink = of_sink AND l.lane = of_lane AND l.latest > this AND d.latest)
$$;

-- Makes deliveries behind others of their lanes. Those that are of the latest kind supersede what
-- waits before them, unless an attempt is running or was interrupted; those are returned.
CREATE FUNCTION inbox_queue(
    seqs bigint[], sinks bigint[], in_lanes bigint[], latests boolean[], at bigint
) RETURNS TABLE (seq bigint, sink bigint) LANGUAGE plpgsql AS $$
DECLARE
    g record;
    place lanes%ROWTYPE;
    before bigint;
BEGIN
    FOR g IN
        SELECT u.* FROM unnest(seqs, sinks, in_lanes, latests) WITH ORDINALITY
            AS u (seq, sink, lane, latest, nth) ORDER BY u.nth
    LOOP
        SELECT l.* INTO STRICT place FROM lanes l WHERE l.sink = g.sink AND l.lane = g.lane;
        UPDATE deliveries d SET next = g.seq WHERE d.seq = place.tail AND d.sink = g.sink;
        INSERT INTO deliveries (seq, sink, state, attempts, previous, latest)
        VALUES (g.seq, g.sink, 0, 0, place.tail, g.latest);
        UPDATE lanes l SET tail = g.seq WHERE l.sink = g.sink AND l.lane = g.lane;
        CONTINUE WHEN NOT g.latest;
        -- Only the head may have been attempted, so at most it and the latest are of this kind.
        FOREACH before IN ARRAY ARRAY[
            CASE WHEN NOT place.leased THEN place.head END,
            CASE WHEN place.latest <> place.head THEN place.latest END]
        LOOP
            IF before < g.seq AND EXISTS (
                SELECT 1 FROM deliveries d
                 WHERE d.seq = before AND d.sink = g.sink AND d.state = 0 AND d.latest)
            THEN
                PERFORM inbox_supersede(before, g.sink, at);
                seq := before;
                sink := g.sink;
                RETURN NEXT;
            END IF;
        END LOOP;
        UPDATE lanes l SET latest = g.seq WHERE l.sink = g.sink AND l.lane = g.lane;
    END LOOP;
END
$$;

-- Writes down how an attempt ended: among the delivery's attempts, of which twenty are kept.
CREATE FUNCTION inbox_keep_attempt(
    this bigint, of_sink bigint, attempt integer, began bigint, ended bigint, outcome text,
    status bigint, error text, answer text
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    number integer;
BEGIN
    -- After a replay attempts are counted from one again, and those before stay.
    SELECT greatest(attempt, coalesce(max(a.n), 0) + 1) INTO number FROM attempts a
     WHERE a.seq = this AND a.sink = of_sink;
    INSERT INTO attempts (seq, sink, n, began, ended, outcome, status, error, answer)
    VALUES (this, of_sink, number, began, ended, outcome, status, error, answer);
    IF number > 20 THEN
        DELETE FROM attempts a WHERE a.seq = this AND a.sink = of_sink AND a.n <= number - 20;
    END IF;
END
$$;

-- Ends leases one by one. `what` is 0 where a delivery is settled, 1 where it waits again, 2 where
-- the lease was lost, 3 where the delivery waits again but is superseded at once.
-- States as in `deliveries`; 0 is a retry, -1 an attempt that was not begun. Times are relative.
CREATE FUNCTION inbox_settle(given jsonb, at bigint)
RETURNS TABLE (seq bigint, sink bigint, what smallint) LANGUAGE plpgsql AS $$
DECLARE
    g record;
    held boolean;
    behind bigint;
    subject_id bigint;
BEGIN
    FOR g IN
        SELECT u.* FROM jsonb_to_recordset(given) AS u (
            seq bigint, sink bigint, lane bigint, token bigint, state smallint, error text,
            due bigint, interrupted boolean, rated boolean, attempt integer, began bigint,
            status bigint, answer text, keep boolean, unsure boolean, hold bigint, remember jsonb)
    LOOP
        IF g.state <= 0 THEN
            -- What is unknown of an earlier attempt stays so when this one was not begun.
            UPDATE lanes l
               SET leased = g.state = -1 AND g.interrupted, available = at + g.due, token = NULL
             WHERE l.sink = g.sink AND l.lane = g.lane AND l.token = g.token;
            held := FOUND;
        ELSE
            DELETE FROM lanes l
             WHERE l.sink = g.sink AND l.lane = g.lane AND l.token = g.token AND l.tail = g.seq;
            held := FOUND;
            IF NOT held THEN
                SELECT d.next INTO behind FROM deliveries d WHERE d.seq = g.seq AND d.sink = g.sink;
                UPDATE lanes l SET head = behind, leased = false, available = at, token = NULL
                 WHERE l.sink = g.sink AND l.lane = g.lane AND l.token = g.token
                   AND behind IS NOT NULL;
                held := FOUND;
            END IF;
        END IF;
        seq := g.seq;
        sink := g.sink;
        IF NOT held THEN
            what := 2;
            RETURN NEXT;
            CONTINUE;
        END IF;
        what := CASE WHEN g.state > 0 THEN 0 ELSE 1 END;

        UPDATE deliveries d
           SET state = greatest(g.state, 0),
               attempts = CASE WHEN g.state = -1 THEN d.attempts - 1 ELSE d.attempts END,
               settled = CASE WHEN g.state > 0 THEN at ELSE d.settled END,
               last_error = CASE WHEN g.state >= 0 THEN coalesce(g.error, d.last_error)
                                 ELSE d.last_error END,
               -- A delivery whose answer is needed stays, whatever comes after it.
               latest = d.latest AND NOT (g.state = 0 AND g.unsure)
         WHERE d.seq = g.seq AND d.sink = g.sink;

        -- What was not attempted uses up no rate: a backlog that is too old leaves at once.
        IF g.rated AND g.state IN (-1, 4, 5) THEN
            DELETE FROM sends s WHERE s.sink = g.sink AND s.token = g.token;
        ELSIF g.rated THEN
            INSERT INTO sends (sink, ended, token) VALUES (g.sink, at, g.token)
            ON CONFLICT ON CONSTRAINT sends_pkey DO UPDATE SET ended = excluded.ended;
            -- What no window reaches any more.
            DELETE FROM sends s WHERE s.sink = g.sink AND s.ended < at - 86400000000;
        END IF;

        IF g.state IN (0, 3) OR g.keep THEN
            PERFORM inbox_keep_attempt(g.seq, g.sink, g.attempt, at + g.began, at,
                CASE g.state WHEN 0 THEN 'retried' WHEN 2 THEN 'delivered' WHEN 4 THEN 'superseded'
                             WHEN 5 THEN 'expired' ELSE 'dead' END,
                g.status, g.error, g.answer);
        END IF;
        IF g.hold IS NOT NULL THEN
            UPDATE sinks s SET held_until = greatest(coalesce(s.held_until, 0), at + g.hold)
             WHERE s.id = g.sink;
        END IF;
        IF g.remember IS NOT NULL THEN
            SELECT e.lane INTO subject_id FROM events e WHERE e.seq = g.seq AND e.lane > 0;
            INSERT INTO remembered (subject, sink, name, value)
            SELECT subject_id, g.sink, m.key, m.value FROM jsonb_each_text(g.remember) m
             WHERE subject_id IS NOT NULL
            ON CONFLICT ON CONSTRAINT remembered_pkey DO UPDATE SET value = excluded.value;
        END IF;

        IF what = 1 AND inbox_is_needless(g.seq, g.sink, g.lane) THEN
            PERFORM inbox_supersede(g.seq, g.sink, at);
            what := 3;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

-- How many attempts a hold and the rates leave.
CREATE FUNCTION inbox_allowed(of_sink bigint, most bigint[], windows bigint[], at bigint)
RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    allowed bigint := 9223372036854775807;
BEGIN
    IF EXISTS (SELECT 1 FROM sinks s WHERE s.id = of_sink AND s.held_until > at) THEN
        RETURN 0;
    END IF;
    FOR i IN 1 .. cardinality(most) LOOP
        allowed := least(allowed, greatest(0, most[i] - (
            SELECT count(*) FROM sends s WHERE s.sink = of_sink AND s.ended > at - windows[i])));
    END LOOP;
    RETURN allowed;
END
$$;

-- When a claim next finds something: the earliest due head, or the first lease to end, but not
-- before a hold is over and the rates leave an attempt.
CREATE FUNCTION inbox_next_due(of_sink bigint, most bigint[], windows bigint[], at bigint)
RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    due bigint;
    leaves bigint;
BEGIN
    due := least(
        (SELECT min(l.available) FROM lanes l WHERE l.sink = of_sink AND NOT l.leased),
        (SELECT min(l.available) FROM lanes l WHERE l.sink = of_sink AND l.leased));
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

-- Leases due heads of a sink, ended leases first. `what` is 0 in a first row that says how many
-- attempts were allowed, 1 for a lease, 3 for a delivery that was superseded instead.
CREATE FUNCTION inbox_claim(
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
