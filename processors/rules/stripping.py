"""An object's record without its person: what is left is what the redacted object would have left.

`schemas.erasing.redact` does to Stripe's own objects what this does to records, so that facts that come once more, as
they were or redacted, change nothing.
"""

from typing import Any

from processors.rules.lattice import Record
from schemas.erasing import mark

_PERSONAL = frozenset("name phone place text memo url pdf number reason card meta submeta refused".split())
_EMAILS = ("email", "billing", "receipt")
_DESCRIPTION, _METADATA = 4, 10  # of a line, see `invoice.normalize_line`


def strip(core: Record, until: int) -> Record:
    """A charge's, an invoice's or a subscription's `core` without the person; the same object when nothing is."""
    if "meta" in core and "status" in core and ("items" in core or "currency" not in core):  # a subscription's
        if not core["meta"] and "comment" not in core:
            return core
        return {name: value for name, value in core.items() if name != "comment"} | {"meta": {}}
    left = {name: value for name, value in core.items() if name not in _PERSONAL}
    left |= {name: mark(until) for name in _EMAILS if name in core}
    return core if left == core else left


def strip_lines(lines: list[list[Any]]) -> list[list[Any]]:
    """An invoice's lines without the seller's words on them; the same object when there are none."""
    if not any(line[_DESCRIPTION] or line[_METADATA] for line in lines):
        return lines
    return [[*line[:_DESCRIPTION], "", *line[_DESCRIPTION + 1 : _METADATA], {}, *line[11:]] for line in lines]


def spared(record: Record, core: Record) -> Record:
    """`core` as it may be kept in `record`, which may have lost its person."""
    return strip(core, record["erased"]) if "erased" in record else core
