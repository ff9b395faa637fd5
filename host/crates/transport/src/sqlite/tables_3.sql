-- What the third layout has more than the second.

-- The last run of each scheduled entry, or when it was first seen; microseconds.
CREATE TABLE beat (
    entry TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    count INTEGER NOT NULL
) WITHOUT ROWID;
-- Who sends what is scheduled; one row at most.
CREATE TABLE beat_lead (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    token TEXT NOT NULL,
    until INTEGER NOT NULL
);
