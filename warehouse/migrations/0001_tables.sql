-- The tables behind the views. Each keeps every version of a fact until a merge leaves the newest;
-- nothing that may differ between two deliveries of the same fact is in a sorting key.

-- `occurred_at` is in the key: a fact that moves in time is withdrawn at its old place by a row of its own.
-- The month leads the key too, so that no two months overlap in it: else a look-up by email would read all of them.
-- Old months are merged to one part each when they have been quiet for an hour, so that FINAL costs nothing there.
CREATE TABLE IF NOT EXISTS metric_rows
(
    metric LowCardinality(String),
    metric_id String,
    occurred_at DateTime64(3, 'UTC'),
    email String,
    unlinked_reason LowCardinality(String),
    account LowCardinality(String),
    livemode Bool,
    customer_id String,
    charge_id String,
    invoice_id String,
    currency LowCardinality(String),
    amount Decimal(38, 3),
    amount_minor Int64,
    attempt_count UInt32,
    reason LowCardinality(String),
    reason_code LowCardinality(String),
    source LowCardinality(String),
    api_version LowCardinality(String),
    -- Metadata are a map, not paths: keys with dots and values that look like dates or numbers stay as they are.
    properties JSON(max_dynamic_paths = 256, metadata Map(String, Map(String, String))),
    lines Array(Tuple(
        line_id String,
        position UInt32,
        product_id String,
        price_id String,
        description String,
        quantity Int64,
        currency String,
        amount Decimal(38, 3),
        amount_minor Int64,
        period_start Nullable(DateTime64(3, 'UTC')),
        period_end Nullable(DateTime64(3, 'UTC')),
        metadata Map(String, String))),
    received_at DateTime64(3, 'UTC'),
    version UInt64,
    withdrawn Bool,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3), -- when this version came here: pages that are open ask for it
    INDEX by_written written_at TYPE minmax GRANULARITY 1,
    INDEX by_email email TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_metric_id metric_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_customer customer_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_charge charge_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_invoice invoice_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version, withdrawn)
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (toYYYYMM(occurred_at), metric, occurred_at, account, livemode, metric_id)
-- Small granules: a person's rows, or one row, are found all over the table, and each brings its granule along.
SETTINGS index_granularity = 1024, min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE IF NOT EXISTS profile_rows
(
    email String,
    livemode Bool,
    name String,
    phone String,
    country LowCardinality(String),
    city String,
    postal_code String,
    learned_at Map(String, DateTime64(3, 'UTC')),
    accounts Array(LowCardinality(String)),
    customer_ids Array(String),
    deleted_customer_ids Array(String),
    subscriptions Map(String, LowCardinality(String)),
    card_expirations Array(Tuple(
        brand String,
        last4 String,
        month UInt8,
        year UInt16,
        seen_at DateTime64(3, 'UTC'))),
    card_expiration_date Nullable(Date32),
    first_seen DateTime64(3, 'UTC'),
    last_seen DateTime64(3, 'UTC'),
    currency LowCardinality(String),
    metrics Array(Tuple(
        metric String,
        count UInt64,
        first_at DateTime64(3, 'UTC'),
        last_at DateTime64(3, 'UTC'))),
    value Array(Tuple(
        currency String,
        paid_minor Int128,
        refunded_minor Int128,
        lifetime_value_minor Int128,
        lifetime_value Decimal(38, 3))),
    properties Map(String, String),
    updated_at DateTime64(3, 'UTC'),
    version UInt64,
    withdrawn Bool,
    INDEX by_customer customer_ids TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version, withdrawn)
ORDER BY (livemode, email);

-- `observed_at` is in the key: a delivery that comes again has the same time of its making.
CREATE TABLE IF NOT EXISTS stripe_event_rows
(
    event_id String,
    type LowCardinality(String),
    account LowCardinality(String),
    livemode Bool,
    api_version LowCardinality(String),
    source LowCardinality(String),
    observed_at DateTime64(3, 'UTC'),
    received_at DateTime64(3, 'UTC'),
    body String CODEC(ZSTD(1)),
    -- What the event tells of: its object, and the objects that this one names. Parsed once, when it is written.
    -- (`tupleElement` and no dots: what deletes rows reads this without the newer analyzer.)
    object_ids Array(String) MATERIALIZED arrayDistinct(arrayFilter(id -> id != '', arrayMap(
        id -> if(startsWith(id, '{'), JSONExtractString(id, 'id'), id),
        arrayFlatten(arrayMap(told -> [
            tupleElement(told, 'id'), tupleElement(told, 'customer'), tupleElement(told, 'charge'),
            tupleElement(told, 'invoice'), tupleElement(told, 'payment_intent'), tupleElement(told, 'subscription'),
            tupleElement(tupleElement(told, 'payment'), 'charge'),
            tupleElement(tupleElement(told, 'payment'), 'payment_intent'),
            tupleElement(tupleElement(told, 'related_object'), 'id')
        ], arrayMap(part -> JSONExtract(part, 'Tuple(
            id String, customer String, charge String, invoice String, payment_intent String, subscription String,
            payment Tuple(charge String, payment_intent String), related_object Tuple(id String)
        )'), [body, JSONExtractRaw(body, 'data', 'object')])))))),
    INDEX by_received received_at TYPE minmax GRANULARITY 1,
    INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_object object_ids TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(received_at)
PARTITION BY toYYYYMM(observed_at)
ORDER BY (account, observed_at, event_id, source)
SETTINGS index_granularity = 1024;

CREATE TABLE IF NOT EXISTS dead_letter_rows
(
    account LowCardinality(String),
    event_id String,
    type LowCardinality(String),
    stage LowCardinality(String),
    reason String,
    path String,
    topic LowCardinality(String),
    partition Int32,
    offset Int64,
    failed_at DateTime64(3, 'UTC'),
    payload String CODEC(ZSTD(1)),
    payload_encoding LowCardinality(String)
)
ENGINE = ReplacingMergeTree(failed_at)
ORDER BY (topic, partition, offset, stage);
