{{ config(order_by='(first_failed_at, invoice_id)') }}

SELECT
    invoice.invoice_id AS invoice_id,
    invoice.account AS account,
    invoice.email AS email,
    invoice.currency AS currency,
    invoice.amount AS amount,
    invoice.status AS status,
    failed.failures AS failures,
    failed.first_failed_at AS first_failed_at,
    failed.reason AS reason,
    invoice.status = 'paid' AS recovered,
    -- An invoice that was paid outside Stripe is recovered too; when, only Stripe's API tells.
    nullIf(payment.paid_at, toDateTime64(0, 3, 'UTC')) AS paid_at,
    if(paid_at >= first_failed_at, dateDiff('second', first_failed_at, paid_at) / 86400, NULL) AS days_to_recover
FROM {{ source('tillstream', 'issued_invoice') }} AS invoice
INNER JOIN
(
    SELECT
        invoice_id,
        count() AS failures,
        min(occurred_at) AS first_failed_at,
        argMax(if(reason != '', reason, reason_code), occurred_at) AS reason
    FROM {{ source('tillstream', 'failed_payment') }}
    WHERE livemode = {{ var('livemode') }} AND invoice_id != ''
    GROUP BY invoice_id
) AS failed ON failed.invoice_id = invoice.invoice_id
LEFT JOIN
(
    SELECT invoice_id, max(occurred_at) AS paid_at
    FROM {{ source('tillstream', 'successfully_paid') }}
    WHERE livemode = {{ var('livemode') }} AND invoice_id != ''
    GROUP BY invoice_id
) AS payment ON payment.invoice_id = invoice.invoice_id
WHERE invoice.livemode = {{ var('livemode') }}
