"""ClickHouse: the one client of it, its address, how statements and values are written, and what goes wrong.

It knows no role and none of their questions; it alone imports clickhouse-connect, to read the format Native.
"""
