-- What a webhook asked is told as that webhook's, so that flows act: also when it had to wait.
ALTER TABLE lookup_rows ADD COLUMN IF NOT EXISTS webhook_at String;
