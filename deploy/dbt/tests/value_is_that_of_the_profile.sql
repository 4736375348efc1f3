-- A row here is a person whose lifetime value differs from the profile's.
SELECT email, currency, lifetime_value, profile_value
FROM {{ ref('customer_value') }} AS mine
INNER JOIN
(
    SELECT email, worth.currency AS currency, worth.lifetime_value AS profile_value
    FROM {{ source('tillstream', 'profiles') }}
    ARRAY JOIN value AS worth
    WHERE livemode = {{ var('livemode') }}
) AS profile USING (email, currency)
WHERE lifetime_value != profile_value
