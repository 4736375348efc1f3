-- What happens to subscriptions. `plan`, `product_id`, `price_id`, `interval` are the first item's; `amount` is what a period
-- comes to before discounts and tax, without what `amount_excludes` names.

CREATE OR REPLACE VIEW subscription_started AS
SELECT
    occurred_at, metric_id, email, account, livemode, customer_id,
    ifNull(properties.Subscription.:String, '') AS subscription_id,
    ifNull(properties.Plan.:String, '') AS plan,
    ifNull(properties.Product.:String, '') AS product_id,
    ifNull(properties.Price.:String, '') AS price_id,
    ifNull(properties.Quantity.:Int64, 0) AS quantity,
    ifNull(properties.Interval.:String, '') AS interval,
    ifNull(properties.IntervalCount.:Int64, 0) AS interval_count,
    currency, amount, amount_minor,
    ifNull(properties.AmountExcludes.:String, '') AS amount_excludes,
    ifNull(properties.Coupon.:String, '') AS coupon,
    parseDateTime64BestEffortOrNull(properties.TrialEnd.:String, 3, 'UTC') AS trial_end,
    ifNull(properties.Resumed.:Bool, false) AS resumed,
    properties.metadata AS metadata, properties, source, api_version, received_at, version
FROM metric_rows FINAL
WHERE metric = 'Subscription Started'
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW subscription_changed AS
SELECT
    occurred_at, metric_id, email, account, livemode, customer_id,
    ifNull(properties.Subscription.:String, '') AS subscription_id,
    ifNull(properties.Plan.:String, '') AS plan,
    ifNull(properties.Product.:String, '') AS product_id,
    ifNull(properties.Price.:String, '') AS price_id,
    ifNull(properties.Quantity.:Int64, 0) AS quantity,
    ifNull(properties.Interval.:String, '') AS interval,
    ifNull(properties.IntervalCount.:Int64, 0) AS interval_count,
    currency, amount, amount_minor,
    ifNull(properties.AmountExcludes.:String, '') AS amount_excludes,
    ifNull(properties.Coupon.:String, '') AS coupon,
    parseDateTime64BestEffortOrNull(properties.TrialEnd.:String, 3, 'UTC') AS trial_end,
    ifNull(toDecimal128OrNull(properties.PreviousAmount.:String, 3), 0) AS previous_amount,
    ifNull(properties.PreviousPrice.:String, '') AS previous_price_id,
    ifNull(properties.PreviousQuantity.:Int64, 0) AS previous_quantity,
    ifNull(properties.status.:String, '') AS status,
    ifNull(properties.CancelAtPeriodEnd.:Bool, false) AS cancel_at_period_end,
    ifNull(properties.CancellationReason.:String, '') AS cancellation_reason,
    ifNull(properties.CancellationFeedback.:String, '') AS cancellation_feedback,
    ifNull(properties.CancellationComment.:String, '') AS cancellation_comment,
    parseDateTime64BestEffortOrNull(properties.CanceledAt.:String, 3, 'UTC') AS canceled_at,
    properties.metadata AS metadata, properties, source, api_version, received_at, version
FROM metric_rows FINAL
WHERE metric = 'Subscription Changed'
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW subscription_canceled AS
SELECT
    occurred_at, metric_id, email, account, livemode, customer_id,
    ifNull(properties.Subscription.:String, '') AS subscription_id,
    ifNull(properties.Plan.:String, '') AS plan,
    ifNull(properties.Product.:String, '') AS product_id,
    ifNull(properties.Price.:String, '') AS price_id,
    ifNull(properties.Quantity.:Int64, 0) AS quantity,
    ifNull(properties.Interval.:String, '') AS interval,
    ifNull(properties.IntervalCount.:Int64, 0) AS interval_count,
    currency, amount, amount_minor,
    ifNull(properties.AmountExcludes.:String, '') AS amount_excludes,
    ifNull(properties.Coupon.:String, '') AS coupon,
    parseDateTime64BestEffortOrNull(properties.TrialEnd.:String, 3, 'UTC') AS trial_end,
    ifNull(properties.status.:String, '') AS status,
    ifNull(properties.CancelAtPeriodEnd.:Bool, false) AS cancel_at_period_end,
    ifNull(properties.CancellationReason.:String, '') AS cancellation_reason,
    ifNull(properties.CancellationFeedback.:String, '') AS cancellation_feedback,
    ifNull(properties.CancellationComment.:String, '') AS cancellation_comment,
    parseDateTime64BestEffortOrNull(properties.CanceledAt.:String, 3, 'UTC') AS canceled_at,
    properties.metadata AS metadata, properties, source, api_version, received_at, version
FROM metric_rows FINAL
WHERE metric = 'Subscription Canceled'
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW trial_ending AS
SELECT
    occurred_at, metric_id, email, account, livemode, customer_id,
    ifNull(properties.Subscription.:String, '') AS subscription_id,
    ifNull(properties.Plan.:String, '') AS plan,
    ifNull(properties.Product.:String, '') AS product_id,
    ifNull(properties.Price.:String, '') AS price_id,
    ifNull(properties.Quantity.:Int64, 0) AS quantity,
    ifNull(properties.Interval.:String, '') AS interval,
    ifNull(properties.IntervalCount.:Int64, 0) AS interval_count,
    currency, amount, amount_minor,
    ifNull(properties.AmountExcludes.:String, '') AS amount_excludes,
    ifNull(properties.Coupon.:String, '') AS coupon,
    parseDateTime64BestEffortOrNull(properties.TrialEnd.:String, 3, 'UTC') AS trial_end,
    ifNull(properties.status.:String, '') AS status,
    ifNull(properties.CancelAtPeriodEnd.:Bool, false) AS cancel_at_period_end,
    ifNull(properties.CancellationReason.:String, '') AS cancellation_reason,
    ifNull(properties.CancellationFeedback.:String, '') AS cancellation_feedback,
    ifNull(properties.CancellationComment.:String, '') AS cancellation_comment,
    parseDateTime64BestEffortOrNull(properties.CanceledAt.:String, 3, 'UTC') AS canceled_at,
    properties.metadata AS metadata, properties, source, api_version, received_at, version
FROM metric_rows FINAL
WHERE metric = 'Trial Ending'
SETTINGS do_not_merge_across_partitions_select_final = 1;
