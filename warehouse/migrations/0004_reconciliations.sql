-- Our numbers against Stripe's, a row a run, metric, currency and day. Nothing is ever changed here.

CREATE TABLE IF NOT EXISTS reconciliation_rows
(
    run_id String,
    account LowCardinality(String),
    livemode Bool,
    metric LowCardinality(String),
    currency LowCardinality(String),
    day Date,
    timezone LowCardinality(String),
    ours_count UInt64,
    ours_minor Int64,
    stripe_count UInt64,
    stripe_minor Int64,
    equal Bool,
    missing_ids Array(String),
    extra_ids Array(String),
    different_ids Array(String),
    remark String,
    checked_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(checked_at)
PARTITION BY toYYYYMM(checked_at)
ORDER BY (account, livemode, run_id, metric, currency, day);

CREATE OR REPLACE VIEW reconciliations AS
SELECT
    run_id, account, livemode, metric, currency, day, timezone, ours_count, ours_minor, stripe_count, stripe_minor,
    equal, missing_ids, extra_ids, different_ids, remark, checked_at
FROM reconciliation_rows FINAL;
