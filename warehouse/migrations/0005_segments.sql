-- Who is in which segment, what changed, and how large segments were. Written by the role `engage`, in the engine itself.

-- One row a person and change, of which a merge leaves the newest; `sequence` counts a person's changes in a segment.
CREATE TABLE IF NOT EXISTS segment_member_rows
(
    segment LowCardinality(String),
    livemode Bool,
    email String,
    member Bool,
    entered_at DateTime64(3, 'UTC'),
    sequence UInt64
)
ENGINE = ReplacingMergeTree(sequence)
ORDER BY (segment, livemode, email);

-- What an evaluation found changed. It counts only once the evaluation is recorded below, for the insert that writes it
-- may have been cut off.
CREATE TABLE IF NOT EXISTS segment_change_rows
(
    segment LowCardinality(String),
    generation UInt64,
    livemode Bool,
    email String,
    change LowCardinality(String),
    at DateTime64(3, 'UTC'),
    entered_at DateTime64(3, 'UTC'),
    day Date,
    initial Bool,
    sequence UInt64
)
ENGINE = ReplacingMergeTree
ORDER BY (segment, generation, livemode, email);

-- Each evaluation: `state` 1 once its changes are written, 2 once they are published.
CREATE TABLE IF NOT EXISTS segment_evaluation_rows
(
    segment LowCardinality(String),
    generation UInt64,
    state UInt8,
    definition String,
    at DateTime64(3, 'UTC'),
    seconds Float64,
    initial Bool
)
ENGINE = ReplacingMergeTree(state)
ORDER BY (segment, generation);

CREATE TABLE IF NOT EXISTS segment_size_rows
(
    segment LowCardinality(String),
    livemode Bool,
    day Date,
    members UInt64,
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (segment, livemode, day);

CREATE OR REPLACE VIEW segment_members AS
SELECT segment, email, livemode, entered_at
FROM segment_member_rows FINAL
WHERE member;

CREATE OR REPLACE VIEW segment_changes AS
SELECT segment, email, livemode, change, at, day, initial, sequence, generation
FROM segment_change_rows FINAL
WHERE (segment, generation) IN (SELECT segment, generation FROM segment_evaluation_rows);

CREATE OR REPLACE VIEW segment_evaluations AS
SELECT segment, generation, definition, at, seconds, initial, state = 2 AS published
FROM segment_evaluation_rows FINAL;

-- Members at the end of each day on which something changed (or so far), in the account's days.
CREATE OR REPLACE VIEW segment_sizes AS
SELECT
    segment, livemode, day, sizes.members AS members,
    ifNull(changes.entered, 0) AS entered, ifNull(changes.gone, 0) AS gone
FROM (SELECT segment, livemode, day, members FROM segment_size_rows FINAL) AS sizes
LEFT JOIN
(
    SELECT segment, livemode, day, countIf(change = 'entered') AS entered, countIf(change = 'left') AS gone
    FROM segment_changes
    WHERE NOT initial
    GROUP BY segment, livemode, day
) AS changes USING (segment, livemode, day);
