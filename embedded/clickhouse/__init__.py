"""A real ClickHouse engine (chDB) behind ClickHouse's own HTTP interface: `python -m embedded.clickhouse --data DIR`.

Whoever speaks to a ClickHouse server speaks to this one unchanged; that it is none is known
here and nowhere else.
"""
