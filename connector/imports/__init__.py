"""The import of a whole account: what is read (`resources`), in which pieces (`ranges`), how far it is (`progress`).

These three are pure; `reader` reads one resource, `account` all of an account, `records` tells ClickHouse of it.
"""
