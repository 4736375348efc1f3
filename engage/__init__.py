"""Segments and flows: who is meant (`engage.conditions`, `engage.segments`) and what they get (`engage.flows`).

Knows Kafka and ClickHouse, the templates and the senders; no other role.
"""
