-- Disputes: one row each, with what was disputed when it was opened. Inquiries, which take no money, are told apart.

CREATE OR REPLACE VIEW dispute AS
SELECT
    occurred_at, metric_id, email, account, livemode, customer_id, charge_id, invoice_id,
    ifNull(properties.Dispute.:String, '') AS dispute_id,
    ifNull(properties.status.:String, '') AS status,
    ifNull(properties.Inquiry.:Bool, false) AS inquiry,
    ifNull(properties.Outcome.:String, '') AS outcome,
    parseDateTime64BestEffortOrNull(properties.OutcomeAt.:String, 3, 'UTC') AS outcome_at,
    currency, amount, amount_minor, reason_code,
    parseDateTime64BestEffortOrNull(properties.EvidenceDueBy.:String, 3, 'UTC') AS evidence_due_by,
    parseDateTime64BestEffortOrNull(properties.FundsWithdrawnAt.:String, 3, 'UTC') AS funds_withdrawn_at,
    parseDateTime64BestEffortOrNull(properties.FundsReinstatedAt.:String, 3, 'UTC') AS funds_reinstated_at,
    ifNull(properties.PaymentIntent.:String, '') AS payment_intent_id,
    ifNull(properties.InvoiceNumber.:String, '') AS invoice_number,
    ifNull(properties.Subscription.:String, '') AS subscription_id,
    properties.metadata AS metadata, properties, source, api_version, received_at, version
FROM metric_rows FINAL
WHERE metric = 'Dispute'
SETTINGS do_not_merge_across_partitions_select_final = 1;
