"""What was really refunded of a charge, step by step, from all that was seen of it. Source: Stripe, the Refund object.

The charge's record says cumulative levels (`seen`, `parts`) and refund objects (`refunds`); see `charge`.
"""

from processors.rules import charge as charges
from processors.rules.lattice import HORIZON, Record

_GONE = 2  # refunds of this rank or more gave the money back to the seller: they are no refunds
_STAMP_SECONDS = 60  # how much later than the snapshot that counts it a refund may be stamped
_RELEASE_SECONDS = 60  # a capture's released rest is booked as a refund at most so long after it


def levels(record: Record) -> list[tuple[int, int, str, str]]:
    """A charge's refunds as (cumulative level, time, refund id or '', reason), ascending; money never paid is left out.

    Where Stripe's refund objects add up to what it says was refunded they are the truth; else every level seen that
    was not taken back later. Either way the steps sum to what was really refunded.
    """
    core = record.get("core")
    if core is None or not charges.paid(core):
        return []
    rest, expired = charges.released(record), record.get("expired", HORIZON)
    asof, truth = record["at"], max(core["refunded"], rest)
    known, running, later, ahead, gone, unsure = [], 0, [], set(), 0, 0
    for refund_id, (at, order, size, created, _, reason) in sorted(
        record.get("refunds", {}).items(), key=lambda item: (item[1][3], item[0])
    ):
        if order >= _GONE:
            if at > asof > created:
                gone += size
            elif at >= asof >= created:
                unsure += size
        elif created > asof:
            later.append((size, created, refund_id, reason))
            if created > at + _STAMP_SECONDS:  # seen before it was made: on a test clock that is ahead
                ahead.add(refund_id)
        else:
            running += size
            known.append((size, created, refund_id, reason))
    if gone:
        # The snapshot still counts them, unless it was itself fetched after they came to nothing: then it shows no more
        # than the other refunds add up to.
        least = running + rest if running + rest <= truth else running
        truth = max(truth - gone, min(least, truth), rest)
    if unsure:
        truth = _settled(record, truth, unsure, (running, running + rest), rest)
    # A snapshot may count a refund that was stamped a moment after it, or by another clock.
    while later and running < truth - rest and running + later[0][0] <= truth:
        if later[0][1] > asof + _STAMP_SECONDS and later[0][2] not in ahead:
            break
        known.append(later.pop(0))
        running += known[-1][0]
    # A released rest has a refund object of its own in some API versions and none in others.
    if rest and running == truth - rest:
        later = _without_release(later, rest, (asof, asof + _RELEASE_SECONDS))
    elif rest and running == truth:
        last_part = min(max((last for _, last, _ in record.get("parts", {}).values()), default=0), expired)
        known = _without_release(known, rest, (last_part, asof))
        running = sum(size for size, *_ in known)
    ladder = _ladder(known)
    if running == truth - rest:
        steps = ladder
    elif running == truth:
        steps = [(level - rest, t, i, r) for level, t, i, r in ladder if level > rest]
    else:
        steps = _seen_levels(record, truth, rest, ladder)
    return _within(charges.received(record), steps + _ladder(later, truth - rest))


_Refund = tuple[int, int, str, str]  # size, or the level that is reached with it; time; id; reason


def _ladder(refunds: list[_Refund], level: int = 0) -> list[_Refund]:
    steps = []
    for size, created, refund_id, reason in refunds:
        level += size
        steps.append((level, created, refund_id, reason))
    return steps


def _within(most: int, steps: list[_Refund]) -> list[_Refund]:
    """Never more was refunded than had been captured."""
    kept, below = [], 0
    for level, created, refund_id, reason in steps:
        if min(level, most) > below:
            below = min(level, most)
            kept.append((below, created, refund_id, reason))
    return kept


def _settled(record: Record, truth: int, unsure: int, sums: tuple[int, int], rest: int) -> int:
    """What had been refunded at the end of the snapshot's second, in which refunds of `unsure` were made or reversed.

    `sums` are what the others add up to. If a snapshot of that second shows it, that is the last one of it. Else the
    one at hand counts the reversed refunds, unless less was refunded or more had been seen just before.
    """
    seen = _seen(record)
    shown = [level for level in (truth, *sums) if level in sums and seen.get(str(level), (0, 0))[1] >= record["at"]]
    if shown:
        return shown[0]
    last: int = seen.get(str(truth + unsure), (0, 0))[1]
    return truth - unsure if truth - unsure >= rest and last < record["at"] - 1 else truth


def _without_release(refunds: list[_Refund], rest: int, when: tuple[int, int]) -> list[_Refund]:
    """The refunds without the one for an authorization's released rest, which came within `when`."""
    for place, (size, created, *_) in enumerate(refunds):
        if size == rest and when[0] <= created <= when[1]:
            return [*refunds[:place], *refunds[place + 1 :]]
    return refunds


def _seen(record: Record) -> Record:
    """The levels that were seen, as they are since the rest of the authorization is counted too."""
    seen: Record = record.get("seen", {})
    if "parts" in record:
        seen, rest, expired = dict(seen), charges.released(record), record.get("expired", HORIZON)
        for level, known in record["parts"].items():
            counted = rest if known[0] >= expired else 0
            charges.join_seen(seen, str(int(level) + rest - counted), *known)
    return seen


def _seen_levels(record: Record, truth: int, rest: int, ladder: list[_Refund]) -> list[_Refund]:
    seen = _seen(record)
    named = {level: (created, refund_id, reason) for level, created, refund_id, reason in ladder}
    steps = []
    for text, (first, last, owns) in seen.items():
        level = int(text)
        if not rest < level <= truth:
            continue
        lower = max((known[1] for other, known in seen.items() if int(other) < level), default=0)
        if lower > last:
            continue  # a later observation showed less: that refund failed or was canceled
        own = next((at for at in owns if at >= lower), first)  # the first after less was seen: one may have failed
        created, refund_id, reason = named.get(level - rest, (own, "", ""))
        steps.append((level - rest, created, refund_id, reason))
    if truth > rest and all(level != truth - rest for level, *_ in steps):
        # The snapshot was lowered by a refund that failed after it: the level itself was never seen.
        steps = [*steps, (truth - rest, record["at"], "", "")]
    return sorted(steps)
