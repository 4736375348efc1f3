-- The second witness: Stripe's own account of the money. Nothing here is derived by the ledger's rules.

-- A transaction's month follows from its key, as Stripe never changes when it was created.
CREATE TABLE IF NOT EXISTS balance_transaction_rows
(
    transaction_id String,
    account LowCardinality(String),
    livemode Bool,
    type LowCardinality(String),
    reporting_category LowCardinality(String),
    balance_type LowCardinality(String),
    status LowCardinality(String),
    currency LowCardinality(String),
    amount Decimal(38, 3),
    amount_minor Int64,
    fee Decimal(38, 3),
    fee_minor Int64,
    net Decimal(38, 3),
    net_minor Int64,
    fees Array(Tuple(type String, currency String, amount_minor Int64)),
    exchange_rate Nullable(Float64),
    created DateTime64(3, 'UTC'),
    available_on DateTime64(3, 'UTC'),
    source_id String,
    source_type LowCardinality(String),
    charge_id String,
    source_currency LowCardinality(String),
    source_amount_minor Nullable(Int64),
    source_status LowCardinality(String),
    source_created Nullable(DateTime64(3, 'UTC')),
    source_transfer String,
    payout_id String,
    observed_at DateTime64(3, 'UTC'),
    version UInt64,
    INDEX by_created created TYPE minmax GRANULARITY 1,
    INDEX by_payout payout_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_charge charge_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(created)
ORDER BY (account, livemode, transaction_id)
SETTINGS index_granularity = 1024;

CREATE TABLE IF NOT EXISTS payout_rows
(
    payout_id String,
    account LowCardinality(String),
    livemode Bool,
    currency LowCardinality(String),
    amount Decimal(38, 3),
    amount_minor Int64,
    status LowCardinality(String),
    automatic Bool,
    method LowCardinality(String),
    reconciliation_status LowCardinality(String),
    created DateTime64(3, 'UTC'),
    arrival_date DateTime64(3, 'UTC'),
    transaction_id String,
    failure_transaction_id String,
    failure_code LowCardinality(String),
    observed_at DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (account, livemode, payout_id);

-- How far Stripe's account of the money is known, one row an account: `state` is complete, unchecked or failed.
CREATE TABLE IF NOT EXISTS balance_sweep_rows
(
    account LowCardinality(String),
    livemode Bool,
    known_since DateTime64(3, 'UTC'),
    swept_until DateTime64(3, 'UTC'),
    state LowCardinality(String),
    error String,
    updated_at DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (account, livemode);

CREATE OR REPLACE VIEW balance_sweeps
(
    account String COMMENT 'The account''s name in the settings',
    livemode Bool COMMENT 'Real money, rather than test mode''s',
    known_since DateTime64(3, 'UTC') COMMENT 'From here on every balance transaction is known; 2010-01-01 for all there are',
    swept_until DateTime64(3, 'UTC') COMMENT 'Up to here, by Stripe''s clock',
    state String COMMENT 'complete; unchecked: the key may not read it; failed',
    error String COMMENT 'Why it is unchecked, or what failed',
    updated_at DateTime64(3, 'UTC') COMMENT 'When it was last tried'
)
AS SELECT account, livemode, known_since, swept_until, state, error, updated_at FROM balance_sweep_rows FINAL
COMMENT 'How far Stripe''s account of the money is known, one row an account and mode';

-- What Stripe said that the balance was, with all that had come in and gone out by then.
CREATE TABLE IF NOT EXISTS balance_rows
(
    account LowCardinality(String),
    livemode Bool,
    currency LowCardinality(String),
    at DateTime64(3, 'UTC'),
    available_minor Int64,
    pending_minor Int64
)
ENGINE = ReplacingMergeTree
ORDER BY (account, livemode, currency, at);

CREATE OR REPLACE VIEW balances
(
    account String COMMENT 'The account''s name in the settings',
    livemode Bool COMMENT 'Real money, rather than test mode''s',
    currency String COMMENT 'Currency of settlement, lower case ISO code',
    at DateTime64(3, 'UTC') COMMENT 'When Stripe was asked, by its clock; every transaction up to then is known',
    available_minor Int64 COMMENT 'What could be paid out, in minor units',
    pending_minor Int64 COMMENT 'What was on its way, in minor units'
)
AS SELECT account, livemode, currency, at, available_minor, pending_minor FROM balance_rows FINAL
COMMENT 'What Stripe said that the balance was, one row an account, currency and time';

CREATE OR REPLACE VIEW balance_transactions
(
    transaction_id String COMMENT 'Stripe''s id of the balance transaction',
    account String COMMENT 'The account''s name in the settings',
    livemode Bool COMMENT 'Real money, rather than test mode''s',
    type String COMMENT 'Stripe''s type, such as charge, payment, refund, adjustment, stripe_fee or payout',
    reporting_category String COMMENT 'Stripe''s category for accounting, such as charge, refund, dispute or fee',
    balance_type String COMMENT 'Which balance it changes: payments, or one that is kept apart, such as issuing',
    status String COMMENT 'pending until the money is available',
    currency String COMMENT 'Currency of settlement, lower case ISO code: of amount, fee and net',
    amount Decimal(38, 3) COMMENT 'Gross in major units; below zero for what goes out',
    amount_minor Int64 COMMENT 'Gross in minor units',
    fee Decimal(38, 3) COMMENT 'All fees in major units',
    fee_minor Int64 COMMENT 'All fees in minor units',
    net Decimal(38, 3) COMMENT 'What it does to the balance, in major units: amount less fee',
    net_minor Int64 COMMENT 'What it does to the balance, in minor units',
    fees Array(Tuple(type String, currency String, amount_minor Int64)) COMMENT 'The parts of the fee',
    exchange_rate Nullable(Float64) COMMENT 'From the source''s currency, null without a conversion; never multiply by it',
    created DateTime64(3, 'UTC') COMMENT 'When Stripe made it: the day that it counts on',
    available_on DateTime64(3, 'UTC') COMMENT 'When the money is, or was, available',
    source_id String COMMENT 'The charge, refund, dispute or payout; empty for fees of the account',
    source_type String COMMENT 'charge, refund, dispute, payout, …',
    charge_id String COMMENT 'The charge that it is about in the end',
    source_currency String COMMENT 'The source''s own currency',
    source_amount_minor Nullable(Int64) COMMENT 'What the source itself says, in its currency: of a charge what is captured',
    source_status String COMMENT 'The source''s status when it was read',
    payout_id String COMMENT 'The automatic payout that took it, once Stripe says so',
    metric String COMMENT 'The metric whose row it belongs to; empty where a category names it',
    metric_id String COMMENT 'The row that it belongs to, of the view metrics',
    observed_at DateTime64(3, 'UTC') COMMENT 'When it was read, by Stripe''s clock',
    version UInt64 COMMENT 'The highest of a transaction is told here'
)
AS SELECT
    told.transaction_id AS transaction_id, told.account AS account, told.livemode AS livemode, told.type AS type,
    told.reporting_category AS reporting_category, told.balance_type AS balance_type, told.status AS status,
    told.currency AS currency, told.amount AS amount, told.amount_minor AS amount_minor, told.fee AS fee, told.fee_minor AS fee_minor,
    told.net AS net, told.net_minor AS net_minor, told.fees AS fees, told.exchange_rate AS exchange_rate,
    told.created AS created, told.available_on AS available_on, told.source_id AS source_id,
    told.source_type AS source_type, told.charge_id AS charge_id, told.source_currency AS source_currency,
    told.source_amount_minor AS source_amount_minor, told.source_status AS source_status, told.payout_id AS payout_id,
    mine.metric AS metric, mine.metric_id AS metric_id, told.observed_at AS observed_at, told.version AS version
FROM
(
    SELECT *, multiIf(
        reporting_category IN ('charge', 'partial_capture_reversal', 'charge_failure'), charge_id,
        reporting_category IN ('refund', 'refund_failure', 'dispute', 'dispute_reversal'), source_id,
        '') AS about
    FROM balance_transaction_rows FINAL
) AS told
LEFT ANY JOIN
(
    SELECT account, livemode, metric, metric_id, multiIf(
        metric = 'Refunded Payment', ifNull(properties.Refund.:String, ''),
        metric = 'Dispute', splitByChar(':', metric_id)[-1],
        charge_id) AS about
    FROM metric_rows FINAL
    WHERE metric IN ('Successfully Paid', 'Failed Payment', 'Refunded Payment', 'Dispute') AND about != ''
    SETTINGS do_not_merge_across_partitions_select_final = 1
) AS mine ON mine.account = told.account AND mine.livemode = told.livemode AND mine.about = told.about
COMMENT 'What came into and went out of the Stripe balance, one row a balance transaction';

CREATE OR REPLACE VIEW payouts
(
    payout_id String COMMENT 'Stripe''s id of the payout',
    account String COMMENT 'The account''s name in the settings',
    livemode Bool COMMENT 'Real money, rather than test mode''s',
    currency String COMMENT 'Currency of settlement, lower case ISO code',
    amount Decimal(38, 3) COMMENT 'What goes to the bank, in major units',
    amount_minor Int64 COMMENT 'The same in minor units',
    status String COMMENT 'pending, in_transit, paid, failed or canceled',
    automatic Bool COMMENT 'By the account''s schedule, rather than because somebody asked for it',
    method String COMMENT 'standard or instant',
    reconciliation_status String COMMENT 'completed: what it took is known; not_applicable for those by hand; in_progress',
    created DateTime64(3, 'UTC') COMMENT 'When Stripe made it',
    arrival_date DateTime64(3, 'UTC') COMMENT 'When it is, or was, at the bank',
    transaction_id String COMMENT 'Its own balance transaction',
    failure_transaction_id String COMMENT 'The balance transaction that brought the money back',
    failure_code String COMMENT 'Why it failed',
    observed_at DateTime64(3, 'UTC') COMMENT 'When it was read, by Stripe''s clock',
    version UInt64 COMMENT 'The highest of a payout is told here'
)
AS SELECT
    payout_id, account, livemode, currency, amount, amount_minor, status, automatic, method, reconciliation_status,
    created, arrival_date, transaction_id, failure_transaction_id, failure_code, observed_at, version
FROM payout_rows FINAL
COMMENT 'Payouts to the bank, one row each';
