-- What the connector did and could not do: each table keeps the newest record of a key, the views show it.

CREATE TABLE IF NOT EXISTS import_rows
(
    import_id String,
    account LowCardinality(String),
    livemode Bool,
    resource LowCardinality(String),
    since DateTime64(3, 'UTC'),
    until DateTime64(3, 'UTC'),
    state LowCardinality(String),
    objects UInt64,
    started_at DateTime64(3, 'UTC'),
    updated_at DateTime64(3, 'UTC'),
    finished_at Nullable(DateTime64(3, 'UTC')),
    error String,
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (account, livemode, import_id, resource);

CREATE TABLE IF NOT EXISTS lookup_rows
(
    account LowCardinality(String),
    livemode Bool,
    object LowCardinality(String),
    id String,
    reason LowCardinality(String),
    at Float64,
    state LowCardinality(String),
    attempts UInt32,
    error String,
    asked_at DateTime64(3, 'UTC'),
    updated_at DateTime64(3, 'UTC'),
    version UInt64,
    answered Bool
)
ENGINE = ReplacingMergeTree(version, answered)
ORDER BY (account, livemode, object, id);

CREATE TABLE IF NOT EXISTS sweep_rows
(
    account LowCardinality(String),
    livemode Bool,
    swept_until DateTime64(3, 'UTC'),
    state LowCardinality(String),
    gap_since Nullable(DateTime64(3, 'UTC')),
    gap_until Nullable(DateTime64(3, 'UTC')),
    seen UInt64,
    published UInt64,
    updated_at DateTime64(3, 'UTC'),
    error String,
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (account, livemode);

CREATE OR REPLACE VIEW imports AS
SELECT
    import_id, account, livemode, resource, since, until, state, objects, started_at, updated_at, finished_at, error
FROM import_rows FINAL;

CREATE OR REPLACE VIEW lookups AS
SELECT account, livemode, object, id, reason, state, attempts, error, asked_at, updated_at
FROM lookup_rows FINAL;

CREATE OR REPLACE VIEW sweeps AS
SELECT account, livemode, swept_until, state, gap_since, gap_until, seen, published, updated_at, error
FROM sweep_rows FINAL;
