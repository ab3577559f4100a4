-- A transaction in two functions and, where nothing waits, no other: each statement costs something
-- by itself, and is a message each way.
--
-- An array that holds nothing comes as NULL: then none is unpacked.
--
-- Receivers of the version before go on beside those of this one. For them there are the functions
-- they know: `inbox_store` and `inbox_deliver` as they were, which make lanes from the start, and
-- those at the end of this file.

-- As before (`0004_batches.sql`), and deliveries leave their shared leases: what only is settled
-- (`end_`), what ends otherwise (`rest_`), and what others come behind. Sinks to look at (`look_`),
-- by what this leaves of them, are told where there is something to claim, or something against it:
-- `what` is
--   4  a sink where a claim is needed to know what it gets
CREATE FUNCTION inbox_begin(
    given bigint, of_subjects bigint[], offers integer, of_keys bytea[], places integer[],
    of_sinks bigint[], lane_sinks bigint[], lane_ids bigint[],
    end_sinks bigint[], end_lanes bigint[], end_seqs bigint[], end_tokens bigint[],
    end_states smallint[], end_errors text[],
    rest_sinks bigint[], rest_seqs bigint[], rest_tokens bigint[],
    look_sinks bigint[], look_probes boolean[]
) RETURNS TABLE (
    what smallint, n1 bigint, n2 bigint, n3 bigint, n4 bigint, name text,
    drawn bigint[], claimed bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    at bigint := inbox_now(given);
    ended bigint := 0;
    more bigint;
BEGIN
    -- Until the transaction ends. A commit may be made not to wait for the database or the role, and
    -- a replica may vanish within a transaction. The rest keeps plans: to the indexes, whatever the
    -- statistics say of tables that are empty at night and full at noon, and for good.
    PERFORM set_config('synchronous_commit', 'on', true),
            set_config('idle_in_transaction_session_timeout', '10s', true),
            set_config('plan_cache_mode', 'force_generic_plan', true),
            set_config('jit', 'off', true),
            set_config('enable_seqscan', 'off', true),
            set_config('enable_hashjoin', 'off', true),
            set_config('enable_mergejoin', 'off', true);

    IF cardinality(of_subjects) > 0 THEN
        RETURN QUERY
        SELECT 0::smallint, s.id, s.route, s.last_time, s.last_seq, s.subject,
               NULL::bigint[], NULL::bigint[]
          FROM subjects s WHERE s.id = ANY(of_subjects) ORDER BY s.id FOR UPDATE;
    END IF;

    IF cardinality(of_subjects) > 0 OR cardinality(end_seqs) > 0 OR cardinality(rest_seqs) > 0 THEN
        -- What ends comes first: nearly all of it has no lane, and needs none to end.
        RETURN QUERY
        SELECT 3::smallint, g.seq, g.sink, NULL::bigint, NULL::bigint, NULL::text,
               NULL::bigint[], NULL::bigint[]
          FROM inbox_leave(of_subjects, '{}', end_seqs || rest_seqs, end_sinks || rest_sinks,
                           end_tokens || rest_tokens, end_states, end_errors, at) AS g;
        GET DIAGNOSTICS ended = ROW_COUNT;
    END IF;

    IF offers > 0 THEN
        -- Whoever draws a position has its transaction's number by then: a reader who knows that all
        -- transactions up to some number have ended knows that no earlier position appears any more.
        PERFORM pg_current_xact_id();
        drawn := ARRAY(SELECT nextval('positions') FROM generate_series(1, offers));
        WITH new AS (
            INSERT INTO keys AS k (key, seq, received)
            SELECT u.key, drawn[u.place], at FROM unnest(of_keys, places) AS u (key, place)
            ON CONFLICT DO NOTHING RETURNING k.seq)
        SELECT array_agg(new.seq) INTO claimed FROM new;
        what := 1;
        RETURN NEXT;
    END IF;

    IF cardinality(of_sinks) > 0 THEN
        PERFORM 1 FROM sinks s WHERE s.id = ANY(of_sinks) ORDER BY s.id FOR UPDATE;
    END IF;

    IF ended < cardinality(end_seqs) THEN
        lane_sinks := lane_sinks || end_sinks;
        lane_ids := lane_ids || end_lanes;
    END IF;
    -- Where nothing waits at all, there is none to look for.
    IF cardinality(lane_ids) > 0 AND EXISTS (SELECT 1 FROM lanes) THEN
        RETURN QUERY
        SELECT 2::smallint, l.sink, l.lane, l.tail, NULL::bigint, NULL::text,
               NULL::bigint[], NULL::bigint[]
          FROM unnest(lane_sinks, lane_ids) AS u (sink, lane)
          JOIN lanes l ON l.sink = u.sink AND l.lane = u.lane
         ORDER BY l.sink, l.lane FOR UPDATE OF l;
    END IF;

    IF ended < cardinality(end_seqs) THEN
        -- Where nothing waits behind what is settled, its lane goes.
        RETURN QUERY
        WITH these AS MATERIALIZED (
            SELECT u.* FROM unnest(end_sinks, end_lanes, end_seqs, end_tokens, end_states, end_errors)
                AS u (sink, lane, seq, token, state, error)
        ), gone AS (
            DELETE FROM lanes l USING these t
             WHERE l.sink = t.sink AND l.lane = t.lane AND l.token = t.token AND l.tail = t.seq
            RETURNING t.seq, t.sink, t.state, t.error
        ), settled AS (
            UPDATE deliveries d
               SET state = g.state, settled = at, last_error = coalesce(g.error, d.last_error)
              FROM gone g WHERE d.seq = g.seq AND d.sink = g.sink
        )
        SELECT 3::smallint, g.seq, g.sink, NULL::bigint, NULL::bigint, NULL::text,
               NULL::bigint[], NULL::bigint[] FROM gone g;
        GET DIAGNOSTICS more = ROW_COUNT;
        ended := ended + more;
    END IF;

    IF ended < cardinality(end_seqs) THEN
        RETURN QUERY
        WITH these AS MATERIALIZED (
            SELECT u.*, d.next
              FROM unnest(end_sinks, end_lanes, end_seqs, end_tokens, end_states, end_errors)
                AS u (sink, lane, seq, token, state, error)
              JOIN deliveries d ON d.seq = u.seq AND d.sink = u.sink
             WHERE d.next IS NOT NULL
        ), moved AS (
            UPDATE lanes l SET head = t.next, leased = false, available = at, token = NULL
              FROM these t
             WHERE l.sink = t.sink AND l.lane = t.lane AND l.token = t.token AND l.tail <> t.seq
            RETURNING t.seq, t.sink, t.state, t.error
        ), settled AS (
            UPDATE deliveries d
               SET state = m.state, settled = at, last_error = coalesce(m.error, d.last_error)
              FROM moved m WHERE d.seq = m.seq AND d.sink = m.sink
        )
        SELECT 3::smallint, m.seq, m.sink, NULL::bigint, NULL::bigint, NULL::text,
               NULL::bigint[], NULL::bigint[] FROM moved m;
    END IF;

    IF cardinality(look_sinks) > 0 THEN
        RETURN QUERY
        SELECT 4::smallint, u.sink, NULL::bigint, NULL::bigint, NULL::bigint, NULL::text,
               NULL::bigint[], NULL::bigint[]
          FROM unnest(look_sinks, look_probes) AS u (sink, probe)
         -- Not EXISTS, which may become a look at all there is.
         WHERE (SELECT true FROM sinks s WHERE s.id = u.sink AND s.held_until > at)
            OR (SELECT true FROM leases l WHERE l.sink = u.sink AND l.ends <= at LIMIT 1)
            OR (SELECT true FROM lanes l
                 WHERE l.sink = u.sink AND l.leased AND l.available <= at LIMIT 1)
            OR (SELECT true FROM lanes l
                 WHERE l.sink = u.sink AND NOT l.leased
                   AND l.available <= CASE WHEN u.probe THEN 9223372036854775807 ELSE at END
                 LIMIT 1);
    END IF;
END
$$;

-- Stores events, moves marks, makes deliveries and counts, as `inbox_store` and `inbox_deliver` do
-- (`0004_batches.sql`); makes the shared leases (`lease_`) that deliveries without a lane are under;
-- and tells when sinks without a rate next have something (`due_`). `what` is 0 for a delivery that
-- was superseded: position and sink; and 1 for a sink and, relative to now, its time.
CREATE FUNCTION inbox_write(
    given bigint,
    event_seqs bigint[], event_lanes bigint[], event_befores bigint[], of_routes bigint[],
    ids text[], types text[], times bigint[], names text[], outcomes smallint[],
    commands boolean[], origins smallint[], sources text[], peers text[], arrivals bigint[],
    traces text[], bodies bytea[],
    mark_ids bigint[], mark_times bigint[], mark_seqs bigint[],
    new_ids bigint[], new_routes bigint[], new_names text[], new_times bigint[], new_seqs bigint[],
    lane_sinks bigint[], lane_ids bigint[], lane_heads bigint[], lane_tails bigint[],
    lane_ttls bigint[], lane_latests bigint[],
    long_sinks bigint[], long_ids bigint[], long_tails bigint[],
    link_seqs bigint[], link_sinks bigint[], link_nexts bigint[],
    seqs bigint[], of_sinks bigint[], tries integer[], befores bigint[], nexts bigint[],
    latests boolean[], owns boolean[], of_leases bigint[],
    lease_sinks bigint[], lease_ids bigint[], lease_uptos bigint[], lease_ttls bigint[],
    send_sinks bigint[], send_ttls bigint[], send_tokens bigint[],
    queue_seqs bigint[], queue_sinks bigint[], queue_lanes bigint[], queue_latests boolean[],
    sum_sinks bigint[], sum_numbers bigint[], of_part integer, due_sinks bigint[]
) RETURNS TABLE (what smallint, n1 bigint, n2 bigint) LANGUAGE plpgsql AS $$
DECLARE
    at bigint := inbox_now(given);
    gone_seqs bigint[];
    gone_sinks bigint[];
BEGIN
    IF cardinality(event_seqs) > 0 THEN
        INSERT INTO events (seq, lane, previous, route, event_id, event_type, event_time, subject,
                            outcome, command, origin, source_ip, peer_ip, received, trace_parent,
                            body)
        SELECT unnest(event_seqs), unnest(event_lanes), unnest(event_befores), unnest(of_routes),
               unnest(ids), unnest(types), unnest(times), unnest(names), unnest(outcomes),
               unnest(commands), unnest(origins), unnest(sources), unnest(peers),
               unnest(arrivals), unnest(traces), unnest(bodies);
    END IF;
    IF cardinality(mark_ids) > 0 THEN
        UPDATE subjects s
           SET last_time = u.last_time, last_seq = u.last_seq, last_received = at
          FROM unnest(mark_ids, mark_times, mark_seqs) AS u (id, last_time, last_seq)
         WHERE s.id = u.id;
    END IF;
    IF cardinality(new_ids) > 0 THEN
        INSERT INTO subjects (id, route, subject, last_time, last_seq, last_received)
        SELECT unnest(new_ids), unnest(new_routes), unnest(new_names), unnest(new_times),
               unnest(new_seqs), at;
    END IF;
    IF cardinality(lane_ids) > 0 THEN
        INSERT INTO lanes (sink, lane, head, tail, leased, available, token, latest)
        SELECT u.sink, u.lane, u.head, u.tail, u.ttl IS NOT NULL, at + coalesce(u.ttl, 0),
               CASE WHEN u.ttl IS NOT NULL THEN -u.head END, u.latest
          FROM (SELECT unnest(lane_sinks), unnest(lane_ids), unnest(lane_heads), unnest(lane_tails),
                       unnest(lane_ttls), unnest(lane_latests))
            AS u (sink, lane, head, tail, ttl, latest);
    END IF;
    IF cardinality(link_seqs) > 0 THEN
        UPDATE lanes l SET tail = u.tail
          FROM unnest(long_sinks, long_ids, long_tails) AS u (sink, lane, tail)
         WHERE l.sink = u.sink AND l.lane = u.lane;
        UPDATE deliveries d SET next = u.next
          FROM unnest(link_seqs, link_sinks, link_nexts) AS u (seq, sink, next)
         WHERE d.seq = u.seq AND d.sink = u.sink;
    END IF;
    IF cardinality(seqs) > 0 THEN
        INSERT INTO deliveries (seq, sink, state, attempts, previous, next, latest, own, lease)
        SELECT unnest(seqs), unnest(of_sinks), 0, unnest(tries), unnest(befores), unnest(nexts),
               unnest(latests), unnest(owns), unnest(of_leases);
    END IF;
    IF cardinality(lease_ids) > 0 THEN
        INSERT INTO leases (sink, id, upto, ends)
        SELECT u.sink, u.id, u.upto, at + u.ttl
          FROM unnest(lease_sinks, lease_ids, lease_uptos, lease_ttls) AS u (sink, id, upto, ttl);
    END IF;
    IF cardinality(send_tokens) > 0 THEN
        INSERT INTO sends (sink, ended, token)
        SELECT u.sink, at + u.ttl, u.token
          FROM unnest(send_sinks, send_ttls, send_tokens) AS u (sink, ttl, token);
    END IF;
    IF cardinality(queue_seqs) > 0 THEN
        SELECT array_agg(q.seq), array_agg(q.sink) INTO gone_seqs, gone_sinks
          FROM inbox_queue(queue_seqs, queue_sinks, queue_lanes, queue_latests, at) q;
        RETURN QUERY
        SELECT 0::smallint, u.seq, u.sink FROM unnest(gone_seqs, gone_sinks) AS u (seq, sink);
    END IF;
    IF cardinality(due_sinks) > 0 THEN
        RETURN QUERY
        SELECT 1::smallint, u.sink, inbox_next_due(u.sink, '{}', '{}', at) - at
          FROM unnest(due_sinks) AS u (sink);
    END IF;
    INSERT INTO tallies AS t (sink, part, n)
    SELECT u.sink, of_part, sum(u.n)::bigint
      FROM (SELECT unnest(sum_sinks), unnest(sum_numbers)
            UNION ALL SELECT unnest(gone_sinks), -1) AS u (sink, n)
     GROUP BY u.sink HAVING sum(u.n) <> 0 ORDER BY u.sink
    ON CONFLICT ON CONSTRAINT tallies_pkey DO UPDATE SET n = t.n + excluded.n;
END
$$;

-- For receivers of the version before, all of whose deliveries have lanes.
CREATE OR REPLACE FUNCTION inbox_begin(
    given bigint, of_subjects bigint[], offers integer, of_keys bytea[], places integer[],
    of_sinks bigint[], lane_sinks bigint[], lane_ids bigint[],
    end_sinks bigint[], end_lanes bigint[], end_seqs bigint[], end_tokens bigint[],
    end_states smallint[], end_errors text[]
) RETURNS TABLE (
    what smallint, n1 bigint, n2 bigint, n3 bigint, n4 bigint, name text,
    drawn bigint[], claimed bigint[]
) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    SELECT b.* FROM inbox_begin(
        given, of_subjects, offers, of_keys, places, of_sinks, lane_sinks, lane_ids,
        end_sinks, end_lanes, end_seqs, end_tokens, end_states, end_errors,
        '{}', '{}', '{}', '{}', '{}') AS b;
END
$$;

ALTER FUNCTION inbox_change(bigint[], bigint[], smallint[], text, bigint) RENAME TO inbox_change_lanes;

-- What is under way of the subjects has lanes by now, unless such a receiver asks.
CREATE FUNCTION inbox_change(
    seqs bigint[], sinks bigint[], whats smallint[], error text, at bigint
) RETURNS TABLE (nth bigint, done smallint, waiting smallint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM inbox_give_lanes(
        ARRAY(SELECT e.lane FROM events e WHERE e.seq = ANY(seqs) AND e.lane > 0), seqs, at);
    RETURN QUERY SELECT c.* FROM inbox_change_lanes(seqs, sinks, whats, error, at) AS c;
END
$$;
