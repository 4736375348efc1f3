"""The import of a whole account, as a job that the connector takes from the topic `jobs`.

`jobs` is what is asked for, `board` what the topic says, `lease` who may do it, `work` doing it. What is read
(`resources`), in which pieces (`ranges`), how far it is (`progress`): these three, and `jobs`, take no clock and do no
I/O. `account` reads all of an account, `reader` one resource, `records` tells ClickHouse of it.
"""
