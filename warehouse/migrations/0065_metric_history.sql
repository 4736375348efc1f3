-- Every version of every row with the moment since when it is known here, and the event that made it. A version that is
-- told once more, by a replay, a rebuild or a second delivery, stays known since it first was: closed books rest on it.
ALTER TABLE metric_rows ADD COLUMN IF NOT EXISTS event_id String;

-- Months are partitions: a fact that moves in time is withdrawn at its old place, so that a month is told by its own.
CREATE TABLE IF NOT EXISTS metric_history_rows
(
    metric_id String,
    version UInt64,
    known_at DateTime64(3, 'UTC'),
    event_id String,
    metric LowCardinality(String),
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
    amount_minor Int64,
    attempt_count UInt32,
    reason LowCardinality(String),
    reason_code LowCardinality(String),
    status LowCardinality(String),
    withdrawn Bool,
    earliness UInt64 MATERIALIZED 18446744073709551615 - toUnixTimestamp64Milli(known_at) -- the first to be told stays
)
ENGINE = ReplacingMergeTree(earliness)
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (metric_id, version)
SETTINGS index_granularity = 1024, max_cleanup_delay_period = 30, finished_mutations_to_keep = 0;

-- Where the history begins: a version of nothing.
INSERT INTO metric_history_rows (metric_id, known_at) VALUES ('', now64(3));

CREATE MATERIALIZED VIEW IF NOT EXISTS metric_history_feed TO metric_history_rows AS
SELECT
    metric_id, version, written_at AS known_at, event_id, metric, received_at, occurred_at, account, livemode, source,
    api_version, email, unlinked_reason, customer_id, charge_id, invoice_id, currency, amount, amount_minor,
    attempt_count, reason, reason_code, ifNull(properties.status.:String, '') AS status, withdrawn
FROM metric_rows;

-- What the table before it has goes along; it did not say when a version was first known, nor what made it.
DROP VIEW IF EXISTS metric_version_feed;
CREATE TABLE IF NOT EXISTS metric_version_rows AS metric_history_rows;
INSERT INTO metric_history_rows
(
    metric_id, version, known_at, metric, received_at, occurred_at, account, livemode, source, api_version, email,
    unlinked_reason, customer_id, charge_id, invoice_id, currency, amount, amount_minor, attempt_count, reason,
    reason_code, status, withdrawn
)
SELECT
    metric_id, version, now64(3), transform(
        extract(metric_id, ':(?:live|test):([a-z_]+):'),
        ['paid', 'failed', 'refunded', 'issued', 'upcoming', 'credit_note', 'dispute',
            'subscription_started', 'subscription_changed', 'subscription_canceled', 'trial_ending'],
        ['Successfully Paid', 'Failed Payment', 'Refunded Payment', 'Issued Invoice', 'Upcoming Invoice', 'Credit Note',
            'Dispute', 'Subscription Started', 'Subscription Changed', 'Subscription Canceled', 'Trial Ending'],
        '') AS metric,
    received_at, occurred_at, account, livemode, source, api_version, email, unlinked_reason, customer_id, charge_id,
    invoice_id, currency, amount, toInt64(amount * multiIf(
        currency IN ('bif', 'clp', 'djf', 'gnf', 'jpy', 'kmf', 'krw', 'mga', 'pyg', 'rwf', 'vnd', 'vuv', 'xaf', 'xof',
            'xpf'), 1,
        currency IN ('bhd', 'jod', 'kwd', 'omr', 'tnd'), 1000,
        100)) AS amount_minor,
    attempt_count, reason, reason_code, status, withdrawn
FROM metric_version_rows;
DROP TABLE IF EXISTS metric_version_rows;

CREATE OR REPLACE VIEW metric_versions
(
    metric_id String COMMENT 'The row that it is a version of',
    version UInt64 COMMENT 'The highest is shown by the view metrics',
    known_at DateTime64(3, 'UTC') COMMENT 'Since when this is known here: kept through replay and rebuild',
    event_id String COMMENT 'The event, or the fetched object, that made this version; empty before this was kept',
    metric String COMMENT 'The row''s metric',
    written_at DateTime64(3, 'UTC') COMMENT 'The same as known_at',
    received_at DateTime64(3, 'UTC') COMMENT 'When the newest snapshot of its object came in',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When it happened',
    account String COMMENT 'The account''s name in the settings',
    livemode Bool COMMENT 'Real money, rather than test mode''s',
    source String COMMENT 'Where that snapshot came from: webhook, import, sweep, lookup or replay',
    api_version String COMMENT 'Its version of Stripe''s API',
    email String COMMENT 'Lower case; empty when unlinked',
    unlinked_reason String COMMENT 'Why there is no email',
    customer_id String COMMENT 'Stripe''s id of the customer',
    charge_id String COMMENT 'Stripe''s id of the charge',
    invoice_id String COMMENT 'Stripe''s id of the invoice',
    currency String COMMENT 'Lower case ISO code',
    amount Decimal(38, 3) COMMENT 'In major units',
    amount_minor Int64 COMMENT 'In minor units',
    attempt_count UInt32 COMMENT '0 when Stripe did not say',
    reason String COMMENT 'Stripe''s sentence',
    reason_code String COMMENT 'Stripe''s code',
    status String COMMENT 'Of an invoice, credit note, dispute or subscription',
    withdrawn Bool COMMENT 'From this version on there is no such row'
)
AS SELECT
    metric_id, version, known_at, event_id, metric, known_at AS written_at, received_at, occurred_at, account, livemode,
    source, api_version, email, unlinked_reason, customer_id, charge_id, invoice_id, currency, amount, amount_minor,
    attempt_count, reason, reason_code, status, withdrawn
FROM metric_history_rows FINAL
WHERE metric_id != ''
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'How each row came to be what it is: one row a version, kept for good';
