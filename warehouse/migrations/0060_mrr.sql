-- Monthly recurring revenue: what the ledger tells of each subscription, and what follows from it for a customer.

-- `customer_id` and `currency` of a subscription never change, and neither does the second of a movement, which names it.
CREATE TABLE IF NOT EXISTS mrr_movement_rows
(
    movement_id String,
    account LowCardinality(String),
    livemode Bool,
    customer_id String,
    subscription_id String,
    occurred_at DateTime64(3, 'UTC'),
    items Array(Tuple(product_id String, currency LowCardinality(String), amount Decimal(38, 12), mrr Decimal(38, 12))),
    status LowCardinality(String),
    excludes LowCardinality(String),
    found_late Bool,
    known_since DateTime64(3, 'UTC'),
    started_at DateTime64(3, 'UTC'),
    withdrawn Bool,
    version UInt64
)
ENGINE = ReplacingMergeTree(version, withdrawn)
ORDER BY (account, livemode, customer_id, subscription_id, occurred_at)
SETTINGS index_granularity = 1024;

CREATE OR REPLACE VIEW mrr_movements
(
    movement_id String COMMENT 'Of account, mode, subscription and second; one row a product of it',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When Stripe says that it was; when it was first seen, if it was found late',
    kind String COMMENT 'new, expansion, contraction, churn, reactivation; opening: what was there when it was first seen',
    account String COMMENT 'The account''s name in the settings',
    livemode Bool COMMENT 'Real money, rather than test mode''s',
    customer_id String COMMENT 'Stripe''s id of the customer',
    subscription_id String COMMENT 'Stripe''s id of the subscription',
    product_id String COMMENT 'Stripe''s id of the product',
    currency String COMMENT 'Lower case ISO code; never add several',
    amount Decimal(38, 12) COMMENT 'The change in major units a month, to be rounded only when it is shown',
    mrr Decimal(38, 12) COMMENT 'What the subscription''s product comes to a month from then on, in major units',
    customer_mrr Decimal(38, 12) COMMENT 'What all of the customer comes to a month from then on, in this currency',
    status String COMMENT 'active, or why the subscription does not count from then on',
    excludes String COMMENT 'What it does not contain: metered, tiered or coupon (not told by Stripe), unknown',
    found_late Bool COMMENT 'No event of that second told it: it may have been some time before',
    started_at DateTime64(3, 'UTC') COMMENT 'When the subscription was made',
    version UInt64 COMMENT 'The highest of a movement is told here'
)
AS SELECT
    movement_id, occurred_at,
    multiIf(
        opening, 'opening',
        after = net, if(occurred_at = earliest, 'new', 'reactivation'),
        after = 0, 'churn',
        net >= 0, 'expansion',
        'contraction') AS kind,
    account, livemode, customer_id, subscription_id, product_id, currency, amount, mrr, after AS customer_mrr,
    status, excludes, found_late AND NOT opening AS found_late, started_at, version
FROM
(
    SELECT
        movement_id, occurred_at, account, livemode, customer_id, subscription_id,
        item.product_id AS product_id, item.currency AS currency, item.amount AS amount, item.mrr AS mrr,
        status, excludes, found_late, started_at, version,
        occurred_at = known_since AND started_at < min(known_since) OVER (PARTITION BY account, livemode) AS opening,
        sum(item.amount) OVER (PARTITION BY account, livemode, customer_id, item.currency ORDER BY occurred_at) AS after,
        sum(item.amount) OVER (PARTITION BY account, livemode, customer_id, item.currency, occurred_at) AS net,
        min(occurred_at) OVER (PARTITION BY account, livemode, customer_id, item.currency) AS earliest
    FROM mrr_movement_rows FINAL
    ARRAY JOIN items AS item
)
COMMENT 'Changes of monthly recurring revenue, one row a product of a subscription that changed';

CREATE OR REPLACE VIEW mrr
(
    account String COMMENT 'The account''s name in the settings',
    livemode Bool COMMENT 'Real money, rather than test mode''s',
    customer_id String COMMENT 'Stripe''s id of the customer',
    product_id String COMMENT 'Stripe''s id of the product',
    currency String COMMENT 'Lower case ISO code; never add several',
    mrr Decimal(38, 12) COMMENT 'What it comes to a month, in major units, to be rounded only when it is shown; 0 after churn',
    since DateTime64(3, 'UTC') COMMENT 'From when on; before its first row nothing is known',
    until DateTime64(3, 'UTC') COMMENT 'When it changed next, exclusive; 2200-01-01 for what is so now'
)
AS SELECT
    account, livemode, customer_id, product_id, currency,
    sum(net) OVER (PARTITION BY account, livemode, customer_id, product_id, currency ORDER BY occurred_at) AS mrr,
    occurred_at AS since,
    leadInFrame(occurred_at, 1, toDateTime64('2200-01-01 00:00:00', 3, 'UTC')) OVER (
        PARTITION BY account, livemode, customer_id, product_id, currency ORDER BY occurred_at
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS until
FROM
(
    SELECT
        account, livemode, customer_id, item.product_id AS product_id, item.currency AS currency, occurred_at,
        sum(item.amount) AS net
    FROM mrr_movement_rows FINAL
    ARRAY JOIN items AS item
    GROUP BY account, livemode, customer_id, product_id, currency, occurred_at
)
COMMENT 'Monthly recurring revenue by customer, product and currency: `WHERE since <= t AND t < until` is as of t';
