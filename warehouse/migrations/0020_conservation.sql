-- Where an event is in Kafka, so that what is not here can be seen without reading Kafka; -1 before this migration.
ALTER TABLE stripe_event_rows ADD COLUMN IF NOT EXISTS
    partition Int32 DEFAULT -1 CODEC(Delta, ZSTD(1));
ALTER TABLE stripe_event_rows ADD COLUMN IF NOT EXISTS
    offset Int64 DEFAULT -1 CODEC(Delta, ZSTD(1));
ALTER TABLE stripe_event_rows ADD INDEX IF NOT EXISTS by_offset offset TYPE minmax GRANULARITY 1;

CREATE OR REPLACE VIEW stripe_events AS
SELECT
    event_id, type, account, livemode, api_version, source, observed_at, received_at, body, object_ids, partition,
    offset
FROM stripe_event_rows FINAL;

-- What the auditor found, one row a look that found something else than the one before, and one every few minutes.
CREATE TABLE IF NOT EXISTS conservation_rows
(
    at DateTime64(3, 'UTC'),
    stale_after DateTime64(3, 'UTC'), -- no newer row by then: nobody looks any more
    seconds Float64,
    events UInt64,
    counts Map(String, UInt64),
    missing Array(Tuple(
        account String,
        event_id String,
        type String,
        missing_from String,
        topic String,
        partition Int32,
        offset Int64,
        since DateTime64(3, 'UTC')))
)
ENGINE = MergeTree
ORDER BY at
TTL toDateTime(at) + INTERVAL 90 DAY;

CREATE OR REPLACE VIEW conservation AS
SELECT at, stale_after, seconds, events, counts, length(missing) AS missing_events
FROM conservation_rows;

CREATE OR REPLACE VIEW missing_events AS
SELECT
    event.account AS account, event.event_id AS event_id, event.type AS type, event.missing_from AS missing_from,
    event.topic AS topic, event.partition AS partition, event.offset AS offset, event.since AS since
FROM (SELECT missing FROM conservation_rows ORDER BY at DESC LIMIT 1) AS newest
ARRAY JOIN newest.missing AS event;
