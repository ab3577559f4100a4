-- Pushes that could not be used, until the database has them; bounded as those in the inbox, the oldest
-- go first.
CREATE TABLE unreadable (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received INTEGER NOT NULL,
    reason TEXT NOT NULL,
    tag TEXT,
    query TEXT,
    source_ip TEXT,
    peer_ip TEXT,
    bytes INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
