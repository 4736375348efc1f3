{{ config(order_by='(day, account, currency)') }}

SELECT
    day,
    account,
    currency,
    sumIf(count, metric = 'Successfully Paid') AS payments,
    sumIf(amount, metric = 'Successfully Paid') AS paid,
    sumIf(count, metric = 'Refunded Payment') AS refunds,
    sumIf(amount, metric = 'Refunded Payment') AS refunded,
    paid - refunded AS net
FROM {{ source('tillstream', 'daily_metrics') }}
WHERE livemode = {{ var('livemode') }} AND metric IN ('Successfully Paid', 'Refunded Payment')
GROUP BY day, account, currency
