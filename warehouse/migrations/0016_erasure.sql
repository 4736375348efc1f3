-- What is erased has to be off the disk soon: the engine looks for old parts at least every half minute, also in tables
-- that were quiet for long, and keeps no text of what a finished mutation was.
ALTER TABLE metric_rows MODIFY SETTING max_cleanup_delay_period = 30, finished_mutations_to_keep = 0;
ALTER TABLE metric_version_rows MODIFY SETTING max_cleanup_delay_period = 30, finished_mutations_to_keep = 0;
ALTER TABLE profile_rows MODIFY SETTING max_cleanup_delay_period = 30, finished_mutations_to_keep = 0;
ALTER TABLE stripe_event_rows MODIFY SETTING max_cleanup_delay_period = 30, finished_mutations_to_keep = 0;
ALTER TABLE dead_letter_rows MODIFY SETTING max_cleanup_delay_period = 30, finished_mutations_to_keep = 0;
ALTER TABLE message_rows MODIFY SETTING max_cleanup_delay_period = 30, finished_mutations_to_keep = 0;
ALTER TABLE segment_member_rows MODIFY SETTING max_cleanup_delay_period = 30, finished_mutations_to_keep = 0;
ALTER TABLE segment_change_rows MODIFY SETTING max_cleanup_delay_period = 30, finished_mutations_to_keep = 0;
