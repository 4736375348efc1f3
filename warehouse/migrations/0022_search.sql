-- What is written on people and invoices, in small letters, and where it leads: one range of the key answers "exact or
-- begins so", however many rows there are. Terms stay when they lead to nobody any more: who searches reads what they
-- lead to. Stripe's ids of facts and events are not here but in the skip indexes of their tables: each would be a row.
CREATE TABLE IF NOT EXISTS search_rows
(
    livemode Bool,
    term String,
    kind LowCardinality(String), -- email, name, card, customer, subscription; number
    target String, -- the email; of a number, the metric_id of its Issued Invoice
    email String,
    at DateTime64(3, 'UTC'), -- last seen; of a number, when it was issued
    version UInt64,
    withdrawn Bool
)
ENGINE = ReplacingMergeTree(version, withdrawn)
ORDER BY (livemode, term, kind, target)
SETTINGS index_granularity = 1024, max_cleanup_delay_period = 30, finished_mutations_to_keep = 0;

-- A name is found by each of its words; one that is an address is not taken: the address may be somebody else's.
CREATE MATERIALIZED VIEW IF NOT EXISTS search_people TO search_rows AS
SELECT
    livemode, lowerUTF8(found.2) AS term, found.1 AS kind, email AS target, email, last_seen AS at, version, withdrawn
FROM profile_rows
ARRAY JOIN arrayFilter(one -> one.2 != '', arrayConcat(
    [('email', email)],
    arrayMap(word -> ('name', arrayStringConcat(arraySlice(splitByWhitespace(name), word), ' ')),
        if(position(name, '@') = 0, range(1, least(length(splitByWhitespace(name)), 6) + 1), [])),
    arrayMap(id -> ('customer', id), arrayDistinct(arrayConcat(customer_ids, deleted_customer_ids))),
    arrayMap(id -> ('subscription', id), mapKeys(subscriptions)),
    arrayMap(last4 -> ('card', last4), arrayDistinct(card_expirations.last4))
)) AS found;

CREATE MATERIALIZED VIEW IF NOT EXISTS search_numbers TO search_rows AS
SELECT
    livemode, lowerUTF8(ifNull(properties.InvoiceNumber.:String, '')) AS term, 'number' AS kind, metric_id AS target,
    email, occurred_at AS at, version, withdrawn
FROM metric_rows
WHERE metric = 'Issued Invoice' AND term != '';

CREATE OR REPLACE VIEW search AS
SELECT livemode, term, kind, target, email, at
FROM search_rows FINAL;

ALTER TABLE metric_rows ADD INDEX IF NOT EXISTS
    by_intent ifNull(properties.PaymentIntent.:String, '') TYPE bloom_filter(0.01) GRANULARITY 1;
