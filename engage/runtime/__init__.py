"""What carries the stages: durable records, checkpoints, timers and the Faust app. Knows nothing of flows."""
