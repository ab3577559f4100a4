-- A lane's deliveries are linked both ways, so that one can leave from between two others without a
-- walk from the head. At the head, `previous` means nothing.

ALTER TABLE deliveries ADD COLUMN previous INTEGER;

UPDATE deliveries SET previous = before.seq
  FROM (SELECT seq, sink, next FROM deliveries WHERE next IS NOT NULL AND state = 0) AS before
 WHERE deliveries.seq = before.next AND deliveries.sink = before.sink;
