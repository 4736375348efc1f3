-- How far the rows here go, by Kafka's partition: kept beside the rows, so that it goes back in time with them.
CREATE TABLE IF NOT EXISTS sink_position_rows
(
    topic LowCardinality(String), -- with its prefix
    partition Int32,
    position Int64, -- every message below it is a row here, or was refused
    written_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY (topic, partition);
