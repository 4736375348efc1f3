{{ config(order_by='(email, currency)') }}

SELECT
    email,
    currency,
    minIf(occurred_at, metric = 'Successfully Paid') AS first_paid_at,
    maxIf(occurred_at, metric = 'Successfully Paid') AS last_paid_at,
    countIf(metric = 'Successfully Paid') AS payments,
    sumIf(amount, metric = 'Successfully Paid') AS paid,
    sumIf(amount, metric = 'Refunded Payment') AS refunded,
    sumIf(amount, metric = 'Dispute' AND properties.Outcome.:String = 'lost') AS lost,
    paid - refunded - lost AS lifetime_value
FROM {{ source('tillstream', 'metrics') }}
WHERE livemode = {{ var('livemode') }} AND email != '' AND metric IN ('Successfully Paid', 'Refunded Payment', 'Dispute')
GROUP BY email, currency
HAVING payments > 0
