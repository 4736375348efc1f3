"""Flows: what people write in YAML, the rules that run it (`engage.flows.rules`, free of I/O), and the engine."""
