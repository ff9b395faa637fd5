-- The first layout.

-- Bodies have a table of their own, so that taking and settling touch narrow rows only.
-- AUTOINCREMENT: a number is never used twice, so an old receipt cannot settle a new message.
CREATE TABLE content (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    exchange TEXT NOT NULL,
    routing_key TEXT NOT NULL,
    properties BLOB NOT NULL,
    headers BLOB NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE waiting (
    queue TEXT NOT NULL,
    rank INTEGER NOT NULL,
    id INTEGER NOT NULL,
    deliveries INTEGER NOT NULL,
    PRIMARY KEY (queue, rank, id)
) WITHOUT ROWID;
CREATE TABLE holder (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    until INTEGER NOT NULL,
    alive TEXT
);
CREATE TABLE held (
    id INTEGER PRIMARY KEY,
    holder INTEGER NOT NULL,
    queue TEXT NOT NULL,
    rank INTEGER NOT NULL,
    deliveries INTEGER NOT NULL
);
CREATE TABLE result (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    record BLOB NOT NULL,
    expires INTEGER
);
CREATE INDEX result_by_expiry ON result (expires) WHERE expires IS NOT NULL;
CREATE TABLE dead (
    id INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    deliveries INTEGER NOT NULL,
    at INTEGER NOT NULL
);
