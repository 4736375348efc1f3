-- What a month came to when somebody closed its books: a row a closing, metric and currency. Nothing is ever changed here.
CREATE TABLE IF NOT EXISTS closing_rows
(
    closing_id String,
    account LowCardinality(String),
    livemode Bool,
    month Date,
    timezone LowCardinality(String),
    metric LowCardinality(String),
    currency LowCardinality(String),
    count UInt64,
    amount Decimal(38, 3),
    amount_minor Int64,
    known_at DateTime64(3, 'UTC'),
    closed_at DateTime64(3, 'UTC'),
    closed_by String
)
ENGINE = ReplacingMergeTree(closed_at)
ORDER BY (account, livemode, month, closing_id, metric, currency);

CREATE OR REPLACE VIEW closings
(
    closing_id String COMMENT 'The closing',
    account String COMMENT 'The account''s name in the settings',
    livemode Bool COMMENT 'Real money, rather than test mode''s',
    month Date COMMENT 'The first day of the month',
    timezone String COMMENT 'IANA name: whose month it is',
    metric String COMMENT 'The metric; empty where nothing happened in the month',
    currency String COMMENT 'Lower case ISO code',
    count UInt64 COMMENT 'How many rows there were',
    amount Decimal(38, 3) COMMENT 'What they came to, in major units',
    amount_minor Int64 COMMENT 'The same in minor units',
    known_at DateTime64(3, 'UTC') COMMENT 'As it was known then: compare with known_at of metric_versions',
    closed_at DateTime64(3, 'UTC') COMMENT 'When it was closed',
    closed_by String COMMENT 'Who closed it'
)
AS SELECT
    closing_id, account, livemode, month, timezone, metric, currency, count, amount, amount_minor, known_at, closed_at,
    closed_by
FROM closing_rows FINAL
COMMENT 'What months came to when their books were closed, by metric and currency';
