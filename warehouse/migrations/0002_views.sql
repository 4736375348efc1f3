-- What data teams query: one row a fact, whatever the engine below has not merged yet.
-- A fact's month follows from its key, so months need not be compared with each other.

CREATE OR REPLACE VIEW metrics AS
SELECT
    metric, metric_id, occurred_at, email, account, livemode, customer_id, charge_id, invoice_id,
    currency, amount, amount_minor, attempt_count, reason, reason_code, source, api_version,
    properties, received_at, version,
    arrayDistinct(arrayFilter(product -> product != '', if(
        empty(lines), arrayMap(item -> ifNull(item, ''), properties.Items[].Product.:String), lines.product_id
    ))) AS products
FROM metric_rows FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW unlinked AS
SELECT
    metric, metric_id, occurred_at, email, account, livemode, customer_id, charge_id, invoice_id,
    currency, amount, amount_minor, attempt_count, reason, reason_code, source, api_version,
    properties, received_at, version, unlinked_reason
FROM metric_rows FINAL
WHERE email = ''
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW failed_payment AS
SELECT
    occurred_at, metric_id, email, account, livemode, customer_id, charge_id, invoice_id,
    currency, amount, amount_minor, attempt_count, reason, reason_code,
    ifNull(properties.InvoiceNumber.:String, '') AS invoice_number,
    ifNull(properties.Subscription.:String, '') AS subscription_id,
    properties.metadata AS metadata, properties, source, api_version, received_at, version
FROM metric_rows FINAL
WHERE metric = 'Failed Payment'
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW issued_invoice AS
SELECT
    occurred_at, metric_id, email, account, livemode, customer_id, charge_id, invoice_id,
    currency, amount, amount_minor, attempt_count,
    ifNull(properties.status.:String, '') AS status,
    ifNull(properties.overdue.:Bool, false) AS overdue,
    ifNull(properties.requires_action.:Bool, false) AS requires_action,
    length(lines) AS line_count,
    ifNull(properties.InvoiceNumber.:String, '') AS invoice_number,
    ifNull(properties.Subscription.:String, '') AS subscription_id,
    properties.metadata AS metadata, properties, source, api_version, received_at, version
FROM metric_rows FINAL
WHERE metric = 'Issued Invoice'
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW refunded_payment AS
SELECT
    occurred_at, metric_id, email, account, livemode, customer_id, charge_id, invoice_id,
    currency, amount, amount_minor, reason, reason_code,
    properties.metadata AS metadata, properties, source, api_version, received_at, version
FROM metric_rows FINAL
WHERE metric = 'Refunded Payment'
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW successfully_paid AS
SELECT
    occurred_at, metric_id, email, account, livemode, customer_id, charge_id, invoice_id,
    currency, amount, amount_minor, attempt_count,
    ifNull(properties.InvoiceNumber.:String, '') AS invoice_number,
    ifNull(properties.Subscription.:String, '') AS subscription_id,
    properties.metadata AS metadata, properties, source, api_version, received_at, version
FROM metric_rows FINAL
WHERE metric = 'Successfully Paid'
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW upcoming_invoice AS
SELECT
    occurred_at, metric_id, email, account, livemode, customer_id, charge_id, invoice_id,
    currency, amount, amount_minor,
    ifNull(properties.InvoiceNumber.:String, '') AS invoice_number,
    ifNull(properties.Subscription.:String, '') AS subscription_id,
    properties.metadata AS metadata, properties, source, api_version, received_at, version
FROM metric_rows FINAL
WHERE metric = 'Upcoming Invoice'
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- The lines of the newest version of each invoice: a line that a later version lacks is gone here too.
CREATE OR REPLACE VIEW line_items AS
SELECT
    occurred_at, account, livemode, customer_id, email, invoice_id,
    line.line_id AS line_id, line.position AS position, line.product_id AS product_id, line.price_id AS price_id,
    line.description AS description, line.quantity AS quantity, line.currency AS currency,
    line.amount AS amount, line.amount_minor AS amount_minor,
    line.period_start AS period_start, line.period_end AS period_end, line.metadata AS metadata
FROM (SELECT * FROM metric_rows FINAL WHERE metric = 'Issued Invoice')
ARRAY JOIN lines AS line
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW profiles AS
SELECT
    email, livemode, name, phone, country, city, postal_code, accounts, customer_ids,
    deleted_customer_ids, subscriptions, learned_at, card_expirations, card_expiration_date,
    ifNull(card_expiration_date BETWEEN today() AND today() + 30, false) AS expires_soon, first_seen, last_seen, currency,
    mapFromArrays(metrics.metric, metrics.count) AS counts,
    counts['Successfully Paid'] AS successfully_paid_count,
    counts['Failed Payment'] AS failed_payment_count,
    counts['Refunded Payment'] AS refunded_payment_count,
    counts['Issued Invoice'] AS issued_invoice_count,
    mapFromArrays(value.currency, value.lifetime_value) AS lifetime_value,
    metrics, value, properties, updated_at, version
FROM profile_rows FINAL;

CREATE OR REPLACE VIEW stripe_events AS
SELECT event_id, type, account, livemode, api_version, source, observed_at, received_at, body, object_ids
FROM stripe_event_rows FINAL;

CREATE OR REPLACE VIEW dead_letters AS
SELECT
    account, event_id, type, stage, reason, path, topic, partition, offset, failed_at, payload, payload_encoding
FROM dead_letter_rows FINAL;
