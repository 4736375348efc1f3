-- Credit notes: one row each. A voided one keeps its amount, and says so by `status` and `voided_at`.

CREATE OR REPLACE VIEW credit_note AS
SELECT
    occurred_at, metric_id, email, account, livemode, customer_id, charge_id, invoice_id,
    ifNull(properties.CreditNote.:String, '') AS credit_note_id,
    ifNull(properties.CreditNoteNumber.:String, '') AS number,
    ifNull(properties.CreditNoteType.:String, '') AS type,
    ifNull(properties.status.:String, '') AS status,
    currency, amount, amount_minor,
    ifNull(toDecimal128OrNull(properties.PrePaymentAmount.:String, 3), 0) AS pre_payment_amount,
    ifNull(toDecimal128OrNull(properties.PostPaymentAmount.:String, 3), 0) AS post_payment_amount,
    toDecimal128OrNull(properties.RefundAmount.:String, 3) AS refund_amount,
    toDecimal128OrNull(properties.CustomerBalanceAmount.:String, 3) AS customer_balance_amount,
    ifNull(toDecimal128OrNull(properties.OutOfBandAmount.:String, 3), 0) AS out_of_band_amount,
    ifNull(toDecimal128OrNull(properties.Tax.:String, 3), 0) AS tax,
    reason_code,
    ifNull(properties.Memo.:String, '') AS memo,
    ifNull(properties.Refund.:String, '') AS refund_id,
    parseDateTime64BestEffortOrNull(properties.VoidedAt.:String, 3, 'UTC') AS voided_at,
    ifNull(properties.InvoiceNumber.:String, '') AS invoice_number,
    ifNull(properties.Subscription.:String, '') AS subscription_id,
    properties.metadata AS metadata, properties, source, api_version, received_at, version
FROM metric_rows FINAL
WHERE metric = 'Credit Note'
SETTINGS do_not_merge_across_partitions_select_final = 1;
