"""The one-machine parts: a real Kafka broker and a real ClickHouse engine, as child processes with data of their own.

No business rule may live here, and nothing outside may depend on what is behind the two addresses.
"""
