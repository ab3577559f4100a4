-- As before (`0002_steps.sql`), but for what becomes of an interrupted attempt that is put back: a later
-- delivery superseded it, and what its answer would have said, such as a ticket's number, was asked for anew.
CREATE OR REPLACE FUNCTION inbox_settle(given jsonb, at bigint)
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

        -- Of an interrupted attempt that was put back as it was found nobody knows what it did: whether a
        -- later one may take its place is for the claim, which knows whether its answer is needed.
        IF what = 1 AND NOT (g.state = -1 AND g.interrupted)
           AND inbox_is_needless(g.seq, g.sink, g.lane) THEN
            PERFORM inbox_supersede(g.seq, g.sink, at);
            what := 3;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
