-- Who had what done from the console, and what came of it. An entry is written before it is done, and again after it.
CREATE TABLE IF NOT EXISTS audit_rows
(
    id String,
    at DateTime64(3, 'UTC'),
    who String,
    way LowCardinality(String),
    source String,
    action LowCardinality(String),
    account LowCardinality(String),
    about Array(String),
    detail String,
    outcome LowCardinality(String),
    error String,
    ended_at DateTime64(3, 'UTC'),
    version UInt8
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (at, id);

CREATE OR REPLACE VIEW audit AS
SELECT id, at, who, way, source, action, account, about, detail, outcome, error, ended_at
FROM audit_rows FINAL;
