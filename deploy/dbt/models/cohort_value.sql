{{ config(order_by='(cohort, currency)') }}

SELECT
    toStartOfMonth(first_paid_at) AS cohort,
    currency,
    count() AS customers,
    sum(lifetime_value) AS total,
    round(toFloat64(total) / customers, 2) AS value_each
FROM {{ ref('customer_value') }}
GROUP BY cohort, currency
