"""Dead letters: which are still open.

A letter is open until what it holds came again, or arrived after all: an event that entered after it had failed (sent
again by Stripe, or replayed) is judged anew, and if it fails again, that is a letter of its own. A row that ClickHouse
refused is settled when ClickHouse has that version of it, or a newer one.
"""

# Both sides of a join have names of their own: else the outer query would have to say which it means.
LETTERS = """
SELECT letters.*,
    multiIf(
        stage != 'sink', came_at <= failed_at,
        came_id != '', false,
        NOT (row_name != '' AND row_version >= JSONExtractUInt(payload, 'version')))::Bool AS open
FROM (
    SELECT failed_at, stage, account, event_id, type, reason, path, topic, partition, offset, payload, payload_encoding,
        if(event_id != '', event_id, concat(if(JSONExtractBool(payload, 'livemode'), '', 'test:'),
            JSONExtractString(payload, 'email'))) AS name
    FROM dead_letters
) AS letters
LEFT JOIN (
    SELECT account AS came_account, event_id AS came_id, max(received_at) AS came_at FROM stripe_event_rows
    WHERE event_id IN (SELECT event_id FROM dead_letters) GROUP BY account, event_id
) AS came ON came_account = account AND came_id = event_id
LEFT JOIN (
    SELECT metric_id AS row_name, max(version) AS row_version FROM metric_rows
    WHERE metric_id IN (SELECT event_id FROM dead_letters WHERE stage = 'sink') GROUP BY row_name
    UNION ALL
    SELECT concat(if(livemode, '', 'test:'), email) AS row_name, max(version) AS row_version FROM profile_rows
    WHERE email IN (SELECT JSONExtractString(payload, 'email') FROM dead_letters WHERE stage = 'sink')
    GROUP BY row_name
) AS rows ON row_name = name
"""
"""Every letter with its payload, and whether it is `open`; a query to select from."""
OPEN_LETTERS = f"SELECT countIf(open) AS letters FROM ({LETTERS})"
"""How many letters still wait."""
