-- What the console asks for beside the facts: how a row came to be what it is, and what came in lately.

-- Every version of every row, once each, without what is large. The tables of the facts forget old versions.
CREATE TABLE IF NOT EXISTS metric_version_rows
(
    metric_id String,
    version UInt64,
    written_at DateTime64(3, 'UTC'),
    received_at DateTime64(3, 'UTC'),
    occurred_at DateTime64(3, 'UTC'),
    account LowCardinality(String),
    livemode Bool,
    source LowCardinality(String),
    api_version LowCardinality(String),
    email String,
    unlinked_reason LowCardinality(String),
    customer_id String,
    charge_id String,
    invoice_id String,
    currency LowCardinality(String),
    amount Decimal(38, 3),
    attempt_count UInt32,
    reason LowCardinality(String),
    reason_code LowCardinality(String),
    status LowCardinality(String),
    withdrawn Bool
)
ENGINE = ReplacingMergeTree
ORDER BY (metric_id, version);

CREATE MATERIALIZED VIEW IF NOT EXISTS metric_version_feed TO metric_version_rows AS
SELECT
    metric_id, version, written_at, received_at, occurred_at, account, livemode, source, api_version, email,
    unlinked_reason, customer_id, charge_id, invoice_id, currency, amount, attempt_count, reason, reason_code,
    ifNull(properties.status.:String, '') AS status, withdrawn
FROM metric_rows;

CREATE OR REPLACE VIEW metric_versions AS
SELECT
    metric_id, version, written_at, received_at, occurred_at, account, livemode, source, api_version, email,
    unlinked_reason, customer_id, charge_id, invoice_id, currency, amount, attempt_count, reason, reason_code, status,
    withdrawn
FROM metric_version_rows FINAL;

-- What was written lately, repetitions included: to learn that there is something new, not to count facts.
CREATE OR REPLACE VIEW metric_arrivals AS
SELECT metric_id, metric, email, account, livemode, occurred_at, received_at, written_at, version, withdrawn
FROM metric_rows;

CREATE OR REPLACE VIEW stripe_event_arrivals AS
SELECT event_id, type, account, livemode, api_version, source, observed_at, received_at
FROM stripe_event_rows;
