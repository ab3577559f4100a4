-- When a URL was last pushed to, an hour behind at most: one that nothing refers to any more is
-- forgotten. What is there already counts as used now.

ALTER TABLE routes ADD COLUMN used INTEGER NOT NULL DEFAULT 0;

UPDATE routes SET used = unixepoch() * 1000000;
