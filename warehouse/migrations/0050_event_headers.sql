-- What is known of an event stands in its message's headers: without them a dead letter could not be tried again.
ALTER TABLE dead_letter_rows ADD COLUMN IF NOT EXISTS headers Map(String, String);

CREATE OR REPLACE VIEW dead_letters AS
SELECT
    account, event_id, type, stage, reason, path, topic, partition, offset, failed_at, payload, payload_encoding, headers
FROM dead_letter_rows FINAL;
