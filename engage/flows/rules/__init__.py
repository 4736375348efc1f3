"""Pure rules of flows: what starts a run, what it does next and when. No clock, no network, no Kafka."""
