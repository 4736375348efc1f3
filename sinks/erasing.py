"""Rows on their way to ClickHouse, without who was erased: what waited in Kafka meanwhile does not bring them back."""

import orjson

from schemas.erased_rows import KEPT, erased_row
from schemas.erasing import names
from schemas.erasures import Erasures


def spared(table: str, value: bytes, erasures: Erasures) -> bytes | None:
    """`value`, one row as JSON, as it may be written; None when nothing of it may be."""
    if table in KEPT or not names(value, erasures.until):
        return value
    try:
        row = orjson.loads(value)
    except orjson.JSONDecodeError:
        return value  # ClickHouse refuses it
    if not isinstance(row, dict):
        return value
    left = erased_row(table, row, erasures)
    return None if left is None else orjson.dumps(left)
