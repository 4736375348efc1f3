-- What tie-outs found: a row a run, payout, day, currency and name. Nothing is ever changed here.
CREATE TABLE IF NOT EXISTS tieout_rows
(
    run_id String,
    account LowCardinality(String),
    livemode Bool,
    day Date,
    timezone LowCardinality(String),
    payout_id String,
    currency LowCardinality(String),
    name LowCardinality(String),
    state LowCardinality(String),
    transactions UInt64,
    amount_minor Int64,
    fee_minor Int64,
    net_minor Int64,
    ids Array(String),
    remark String,
    first_day Date,
    last_day Date,
    checked_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(checked_at)
PARTITION BY toYYYYMM(checked_at)
ORDER BY (account, livemode, run_id, day, payout_id, currency, name, state);

CREATE OR REPLACE VIEW tieouts
(
    run_id String COMMENT 'The tie-out',
    account String COMMENT 'The account''s name in the settings',
    livemode Bool COMMENT 'Real money, rather than test mode''s',
    day Date COMMENT 'When the transactions were created, in the account''s timezone',
    timezone String COMMENT 'IANA name',
    payout_id String COMMENT 'The automatic payout that took them; empty for what none has taken, or a payout''s own row',
    currency String COMMENT 'Currency of settlement, lower case ISO code',
    name String COMMENT 'What the money is: a metric whose rows it ties to, or another reason',
    state String COMMENT 'tied; pending: too young to tell; different',
    transactions UInt64 COMMENT 'How many balance transactions',
    amount_minor Int64 COMMENT 'Their gross amounts, in minor units',
    fee_minor Int64 COMMENT 'Their fees, in minor units',
    net_minor Int64 COMMENT 'What they did to the balance, in minor units',
    ids Array(String) COMMENT 'Where it is different: every transaction, row, payout or currency that it is about',
    remark String COMMENT 'Where it is different: what is',
    first_day Date COMMENT 'First day that the tie-out was about',
    last_day Date COMMENT 'Last day that the tie-out was about',
    checked_at DateTime64(3, 'UTC') COMMENT 'When'
)
AS SELECT
    run_id, account, livemode, day, timezone, payout_id, currency, name, state, transactions, amount_minor, fee_minor,
    net_minor, ids, remark, first_day, last_day, checked_at
FROM tieout_rows FINAL
COMMENT 'Every cent''s name, by payout and day, one row each a tie-out';
