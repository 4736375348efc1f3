"""The console: web pages and JSON for people who look at the numbers, read from ClickHouse's views alone.

Nothing here writes a fact, decides what one is, or speaks to Kafka or Stripe; the numbers are those of `sinks`' views.
"""
