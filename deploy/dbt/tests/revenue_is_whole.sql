-- The days together are what the facts are: a row here is a currency whose sums differ.
SELECT currency, facts.net AS of_facts, days.net AS of_days
FROM
(
    SELECT currency, sum(if(metric = 'Refunded Payment', -amount, amount)) AS net
    FROM {{ source('tillstream', 'metrics') }}
    WHERE livemode = {{ var('livemode') }} AND metric IN ('Successfully Paid', 'Refunded Payment')
    GROUP BY currency
) AS facts
FULL JOIN (SELECT currency, sum(net) AS net FROM {{ ref('daily_revenue') }} GROUP BY currency) AS days USING (currency)
WHERE of_facts != of_days
