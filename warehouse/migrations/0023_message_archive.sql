-- What exactly was sent. How long it is kept is a setting: the sink sets the column's TTL.
ALTER TABLE message_rows ADD COLUMN IF NOT EXISTS content String CODEC(ZSTD(3));

CREATE OR REPLACE VIEW message_archive AS
SELECT message_id, flow, step, email, livemode, channel, status, subject, at, content
FROM message_rows FINAL
WHERE content != '';
