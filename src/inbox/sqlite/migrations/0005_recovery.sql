-- Records of the sender's history that were dealt with, so that none is fetched twice. How far the
-- history was read, and where that began, stands in `meta`.

CREATE TABLE recovered (
    id      BLOB PRIMARY KEY,
    handled INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
