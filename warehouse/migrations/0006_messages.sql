-- What flows sent, or did not, and who must not be sent anything. Both keep every state until a merge leaves the newest.

CREATE TABLE IF NOT EXISTS message_rows
(
    message_id String,
    flow LowCardinality(String),
    step LowCardinality(String),
    trigger LowCardinality(String),
    metric_id String,
    email String,
    livemode Bool,
    recipient String,
    channel LowCardinality(String),
    status LowCardinality(String),
    reason String,
    subject String,
    attempts UInt32,
    at DateTime64(3, 'UTC'),
    version UInt64,
    INDEX by_metric_id metric_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_time at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (livemode, email, flow, message_id);

CREATE TABLE IF NOT EXISTS suppression_rows
(
    email String,
    livemode Bool,
    reason LowCardinality(String),
    detail String,
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (livemode, email);

CREATE OR REPLACE VIEW messages AS
SELECT
    message_id, flow, step, trigger, metric_id, email, livemode, recipient, channel, status, reason, subject, attempts,
    at, version
FROM message_rows FINAL;

CREATE OR REPLACE VIEW suppressions AS
SELECT email, livemode, reason, detail, at
FROM suppression_rows FINAL
WHERE reason != '';
