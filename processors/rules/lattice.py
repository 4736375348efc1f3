"""How knowledge grows: the newest observation wins, ties are broken by rank and content, nothing depends on arrival.

A record's `v` sums the times of all that it knows. It grows with every new piece of knowledge and is the same for
the same knowledge, so that a version made of it orders rows correctly even when state was rebuilt from nothing.
"""

from typing import Any

import orjson

from schemas.metrics import RULES_BIT

Record = dict[str, Any]

#: The rules' revision. Raise it with a change by which the same observations come to other rows or profiles: what the
#: mended rules tell has to go before what the ones before them told of the same knowledge.
RULES = 2
# RULES_BIT is above every version of before there was a revision: profiles had a clock's milliseconds (2**41), rows of
# all but the largest customers less. Below 2**53, which is as far as JavaScript counts, for the first 15 revisions.

#: 'Earlier is better' knowledge counts as this less its time, so that it grows as it gets earlier.
HORIZON = 2**32


def ranked(knowledge: int) -> int:
    """The version of what is made of `knowledge` by these rules.

    The two are added, so that nothing overflows: of a customer with so much knowledge that it reaches into the
    revision, a new revision is not before all of what was told, but before all that was told of the same or less.
    """
    return (RULES << RULES_BIT) + knowledge


def renew(record: Record) -> None:
    """Have the rows of an object told once more, if other rules wrote its `record`; nobody acts on what changes by it.

    What these rules read in Stripe's objects beyond the ones before is learned when it comes again, as by a replay:
    ranks end with the revision, so that the same snapshot is newer.
    """
    if record.get("rules", 1) == RULES:
        return
    record |= {"rules": RULES, "anew": True}
    if "told" in record:
        record["told"] = ["replay", *record["told"][1:]]
    for dispute in record.get("disputes", {}).values():
        dispute["told"] = ["replay", *dispute["told"][1:]]
    for told in record.get("rows", {}).values():
        told[0] = 0


def canonical(value: Any) -> bytes:
    """Bytes that are equal for equal content."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)


def newer(at: int, rank: list[Any], core: Record, record: Record) -> bool:
    """Is `core`, seen at `at`, newer than what `record` holds? Equal seconds: the higher `rank`, then content."""
    if "core" not in record:
        return True
    known = record["at"], record.get("rank", [])  # an upcoming invoice had none under the first rules
    if (at, rank) != known:
        return (at, rank) > known
    return core != record["core"] and canonical(core) > canonical(record["core"])


def newest(known: list[Any] | None, at: int, value: Any) -> list[Any] | None:
    """`[at, value]` if it is newer than `known` (ties: the larger value), else None for 'nothing new'."""
    if known is None or (at, value) > (known[0], known[1]):
        return [at, value]
    return None
