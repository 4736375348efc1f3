-- When a segment was evaluated last, beside its size: an evaluation that finds no change leaves no other trace.
CREATE OR REPLACE VIEW segment_sizes AS
SELECT
    segment, livemode, day, sizes.members AS members,
    ifNull(changes.entered, 0) AS entered, ifNull(changes.gone, 0) AS gone, sizes.at AS refreshed_at
FROM (SELECT segment, livemode, day, members, at FROM segment_size_rows FINAL) AS sizes
LEFT JOIN
(
    SELECT segment, livemode, day, countIf(change = 'entered') AS entered, countIf(change = 'left') AS gone
    FROM segment_changes
    WHERE NOT initial
    GROUP BY segment, livemode, day
) AS changes USING (segment, livemode, day);
