"""The ground that every program stands on: the settings table, secrets and accounts, and where a running `up` is.

Imports `schemas` alone. What a setting means for Kafka's or ClickHouse's client is theirs to know.
"""
