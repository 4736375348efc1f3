"""Kafka to ClickHouse: the tables that data teams rely on, and the worker that keeps them up to date.

Rows are taken as they come, since every Kafka value already is one; no rule about payments may live here.
"""
