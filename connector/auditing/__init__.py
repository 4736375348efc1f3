"""The auditor: conservation by id, all the time. What Kafka has taken in is folded and in ClickHouse, or is named.

`coverage`, `rules` and `facts` are pure; `log` asks Kafka, `rows` asks ClickHouse, `auditor` brings them together for
events and `fact_audit` for the rows that are told.
"""
