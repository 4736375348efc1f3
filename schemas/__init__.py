"""The common language of all packages: topics, envelope, metric event, profile, dead letter, money, time.

Only plain values and pydantic models live here; no I/O, no broker, no database, and no other package.
"""
