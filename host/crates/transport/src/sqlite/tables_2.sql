-- What the second layout has more than the first.

-- It was handed out; `deliveries` leaves out what was given back in good order.
ALTER TABLE waiting ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE held ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead ADD COLUMN rank INTEGER NOT NULL DEFAULT 255;
ALTER TABLE dead ADD COLUMN reason TEXT NOT NULL DEFAULT 'discarded';
ALTER TABLE dead ADD COLUMN parked INTEGER NOT NULL DEFAULT 0;
-- Held by nobody until they are due.
CREATE TABLE delayed (
    id INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    rank INTEGER NOT NULL,
    deliveries INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    due INTEGER NOT NULL
);
CREATE INDEX delayed_by_due ON delayed (due);
-- What was said to every worker, for a minute.
CREATE TABLE said (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    properties BLOB NOT NULL,
    headers BLOB NOT NULL,
    body BLOB NOT NULL
);
-- `size` is null until it is known, and when nobody is to wait any more.
CREATE TABLE chord (
    id TEXT PRIMARY KEY,
    size INTEGER,
    added INTEGER NOT NULL DEFAULT 0,
    joined INTEGER NOT NULL DEFAULT 0,
    token TEXT,
    claimed_until INTEGER,
    done INTEGER NOT NULL DEFAULT 0,
    expires INTEGER
) WITHOUT ROWID;
CREATE INDEX chord_by_expiry ON chord (expires) WHERE expires IS NOT NULL;
CREATE TABLE chord_part (
    chord TEXT NOT NULL,
    position INTEGER NOT NULL,
    task TEXT NOT NULL,
    part BLOB NOT NULL,
    PRIMARY KEY (chord, position, task)
) WITHOUT ROWID;
CREATE TABLE result_group (
    id TEXT PRIMARY KEY,
    tuple BLOB NOT NULL,
    expires INTEGER
) WITHOUT ROWID;
CREATE INDEX result_group_by_expiry ON result_group (expires) WHERE expires IS NOT NULL;
