"""Conservation by id: whatever a worker goes through, nothing is missing; what is passed over is, and by its offset."""

from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.auditing.coverage import Coverage, Place, Span, Told
from connector.auditing.facts import Fact, bucket, lacking, newest, read_fact, sums
from connector.auditing.rules import (
    Event,
    Lost,
    Mark,
    Progress,
    differs,
    due,
    joined,
    missing,
    passed_over,
)
from processors.stages import LedgerStage
from processors.tallying import Tallying
from schemas.tally import Tally, identity, read_tally, total
from streams.checkpoint import Checkpointer
from streams.store import PartitionStore

FEW = settings(max_examples=min(settings().max_examples, 300))  # each is a life of a worker
GRACE, LATER = 300.0, 1e9
HORIZON = Mark(LATER, {0: 10**9}, {0: 10**9})


class Kept:
    """A store whose records are durable when `checkpoint` says so."""

    def __init__(self, records: dict[bytes, bytes]) -> None:
        self.records, self.dirty = records, dict[bytes, bytes | None]()

    def get(self, key: bytes) -> bytes | None:
        return self.dirty[key] if key in self.dirty else self.records.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self.dirty[key] = value

    def delete(self, key: bytes) -> None:
        self.dirty[key] = None


@dataclass
class Worker:
    """A stage that takes a partition's events, makes checkpoints, dies between any two of its steps, and goes on."""

    skips: frozenset[int] = frozenset()
    records: dict[bytes, bytes] = field(default_factory=dict)
    position: int = 0  # durable, with the records
    at: int = 0  # the next offset
    told: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start()

    def start(self, back: int = 0) -> None:
        """As whoever has the partition now: from the durable position, or `back` before it where that is committed."""
        self.store = Kept(self.records)
        self.tallying = Tallying(0, cast(PartitionStore, self.store), 10.0)
        self.at = max(self.position - back, 0)

    def take(self, end: int, now: float) -> None:
        """Take what is there until before `end`."""
        for offset in range(self.at, end):
            if offset not in self.skips:
                self.tallying.add(offset, "folded", f"a|evt_{offset}", now)
        self.at = max(self.at, end)

    def checkpoint(self, now: float, dies: int) -> None:
        """0: it does not die; 1: before, 2: after its outputs, and before its state is durable."""
        if dies == 1:
            return self.start()
        tally = self.tallying.drain(now)
        if tally is not None:
            self.told.append(tally.as_json())
        if dies == 2:
            return self.start()
        for key, value in self.store.dirty.items():
            if value is None:
                self.records.pop(key, None)
            else:
                self.records[key] = value
        self.store.dirty.clear()
        self.position = self.at
        return None

    def end(self, now: float) -> None:
        """Nothing comes any more: whatever is left is told."""
        for tick in range(1, 4):
            self.checkpoint(now + 100 * tick, 0)


steps = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from([1.0, 4.0, 30.0]), st.integers(0, 2), st.integers(0, 12)), max_size=12
)


def run(worker: Worker, steps: list[tuple[int, float, int, int]]) -> tuple[int, float]:
    """How many events there are, and when it ended."""
    now, log = 0.0, 0
    for more, seconds, dies, back in steps:
        log, now = log + more, now + seconds
        worker.take(log, now)
        worker.checkpoint(now, dies)
        if dies and back:
            worker.start(back)
    worker.take(log, now)
    worker.end(now)
    return log, now


def heard(told: list[bytes], repeats: list[int] = []) -> Coverage:  # noqa: B006 (read only)
    coverage = Coverage()
    for value in told:
        coverage.add(read_tally(value), 0.0)
    for number in repeats:  # by who lost the partition, and wakes up
        coverage.add(read_tally(told[number % len(told)]), 0.0) if told else None
    return coverage


@FEW
@given(steps)
def test_a_worker_that_dies_anywhere_tells_of_each_event_and_passes_over_none(
    steps: list[tuple[int, float, int, int]],
) -> None:
    worker = Worker()
    log, _ = run(worker, steps)
    coverage = heard(worker.told)
    assert coverage.holes == {}
    assert all(coverage.covers((0, offset), {}) for offset in range(log))
    assert not coverage.covers((0, log), {})
    for one in coverage.told.get(0, []):
        if one.tally.whole:
            assert one.tally.taken == len(one.span)
            assert one.tally.ids == total(f"a|evt_{offset}" for _, offset in one.span.places())


@FEW
@given(steps, st.lists(st.integers(0, 100), max_size=3))
def test_who_lost_the_partition_and_tells_again_changes_nothing(
    steps: list[tuple[int, float, int, int]], repeats: list[int]
) -> None:
    worker = Worker()
    run(worker, [(more, seconds, dies, 0) for more, seconds, dies, _ in steps])
    assert heard(worker.told, repeats) == heard(worker.told)


@FEW
@given(steps, st.frozensets(st.integers(0, 30), max_size=6))
def test_what_is_passed_over_is_known_by_its_offset(
    steps: list[tuple[int, float, int, int]], skips: frozenset[int]
) -> None:
    worker = Worker(skips)
    log, _ = run(worker, steps)
    coverage = heard(worker.told)
    last = coverage.last().get(0)
    if last is None:
        return
    found = {
        offset
        for span in passed_over(coverage, HORIZON, Mark(LATER, {0: log}, {}), LATER, GRACE)
        for _, offset in span.places()
    }
    first = coverage.told[0][0].tally.first
    assert found == {offset for offset in skips if first <= offset < log}
    assert not any(coverage.covers((0, offset), {}) for offset in found)


def tally(first: int, end: int, *skipped: tuple[int, int], taken: int | None = None, ids: int = 0) -> Tally:
    gone = sum(after - before for before, after in skipped)
    return Tally(0, first, end, {"folded": end - first - gone if taken is None else taken}, list(skipped), ids)


def test_state_that_went_back_is_told_anew_from_there() -> None:
    coverage = Coverage()
    coverage.add(tally(0, 10), 0.0)
    coverage.add(tally(12, 20), 1.0)
    assert coverage.holes == {Span(0, 10, 12): 1.0}
    coverage.add(tally(8, 30), 2.0)
    assert coverage.holes == {}
    left, anew = (one.tally for one in coverage.told[0])
    assert (left.first, left.next, left.whole) == (0, 8, False)
    assert (anew.first, anew.next, anew.whole) == (8, 30, True)


def test_a_rebuild_that_reads_what_is_long_past_says_nothing_new() -> None:
    coverage = Coverage()
    coverage.add(tally(1_000, 1_100), 0.0)
    coverage.add(tally(0, 500), 1.0)
    assert [one.span for one in coverage.told[0]] == [Span(0, 1_000, 1_100)]


def test_the_time_in_which_an_event_may_be_missing_begins_when_it_was_told_of() -> None:
    coverage = Coverage()
    coverage.add(tally(0, 10), 1_000.0)
    assert due(coverage, HORIZON, 1_000.0 + GRACE - 1, GRACE) == []
    (one,) = due(coverage, HORIZON, 1_000.0 + GRACE, GRACE)
    one.looks = 1
    assert due(coverage, HORIZON, 1_000.0 + GRACE, GRACE) == []
    assert due(coverage, HORIZON, 1_000.0 + 2 * GRACE, GRACE) == [one]  # and once more, after twice that time


def test_a_sink_that_is_behind_or_stopped_makes_nothing_missing() -> None:
    coverage = Coverage()
    coverage.add(tally(0, 10, (3, 4)), 0.0)
    behind = Mark(LATER, {0: 10}, {0: 9})
    assert due(coverage, behind, LATER, GRACE) == []
    assert Span(0, 3, 4) in passed_over(coverage, behind, None, LATER, GRACE)  # the ledger's own word
    early = Mark(-1.0, {0: 10}, {0: 10})  # before it was told of: a dead letter may be on its way
    assert due(coverage, early, LATER, GRACE) == []


def test_the_end_of_a_partition_is_passed_over_only_by_a_ledger_that_lives_and_is_silent() -> None:
    coverage = Coverage()
    coverage.add(tally(0, 10), 0.0)
    lived = Mark(LATER - GRACE, {0: 11}, {})
    assert passed_over(coverage, HORIZON, lived, LATER, GRACE) == {Span(0, 10, 11): lived.at}
    assert passed_over(coverage, HORIZON, None, LATER, GRACE) == {}
    coverage.add(tally(5, 8), LATER - 1)  # it reads once more
    assert passed_over(coverage, HORIZON, lived, LATER, GRACE) == {}


def test_a_ledger_has_lived_if_it_was_seen_alive_each_time() -> None:
    progress = Progress([Mark(at, {}, {}, alive=at != 30) for at in range(0, 100, 10)])
    assert progress.lived_since(45) == Mark(40, {}, {})
    assert progress.lived_since(25) is None
    assert progress.lived_since(-1) is None
    progress.forget(45)
    assert [mark.at for mark in progress.marks] == [10, 20, 30, 40, 50, 60, 70, 80, 90]


def test_the_horizon_is_the_newest_mark_whose_outputs_are_all_written() -> None:
    progress, place = Progress(), ("dead_letters", 0)
    written = [0, 5, 9, 25]
    marks = [Mark(float(at), {}, {}, {place: at * 10}, written={place: written[at]}) for at in range(4)]
    assert [progress.add(mark) for mark in marks] == [None, marks[0], marks[0], marks[2]]
    assert progress.written_at(1.5) == {place: 5}
    assert progress.written_at(-1.0) == {}


@FEW
@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=20))
def test_neighbours_are_compared_as_one(pieces: list[tuple[int, bool]]) -> None:
    told, at = [], 0
    for size, gap in pieces:
        at += gap
        told.append(Told(tally(at, at + size, ids=2**63 + at), 0.0))
        at += size
    found = joined(told)
    assert sum(taken for taken, _ in found.values()) == sum(one.tally.taken for one in told)
    assert sum(ids for _, ids in found.values()) % 2**64 == sum(one.tally.ids for one in told) % 2**64
    ends = sorted((span.first, span.next) for span in found)
    assert all(before[1] < after[0] for before, after in pairwise(ends))
    assert all(any(span.holds(one.span) for span in found) for one in told)


def test_a_difference_is_looked_at_once_until_it_is_another() -> None:
    one = Told(tally(0, 10, ids=7), 0.0)
    assert not differs(one, (10, 7))
    assert differs(one, (9, 7))
    one.seen = (9, 7)  # duplicates: a row stands for two of them
    assert not differs(one, (9, 7))
    assert differs(one, (8, 5))
    read_twice = Tally(0, 0, 10, {"folded": 10}, ids=7, whole=False)
    assert differs(Told(read_twice, 0.0), (10, 7))  # nobody knows what its sums are of


EVENT, PLACE = Event("default|evt_1", "charge.succeeded"), (0, 7)


def lost(rows: dict[str, set[Place]], *, passed: bool, letters: set[Place] = set(), covered: set[Place]) -> Any:  # noqa: B006
    return missing({PLACE: EVENT}, {PLACE} if passed else set(), rows, letters, covered.__contains__).get(PLACE)


def test_an_event_is_missing_when_nobody_has_it() -> None:
    here, there = {EVENT.identity: {PLACE}}, {EVENT.identity: {PLACE, (1, 3)}}
    assert lost({}, passed=False, covered={PLACE}) is Lost.EVENTS
    assert lost(here, passed=False, covered={PLACE}) is None
    assert lost({}, passed=False, letters={PLACE}, covered={PLACE}) is None  # the sink has given it up, and said so
    assert lost(here, passed=True, covered=set()) is Lost.LEDGER
    assert lost(here, passed=True, covered={PLACE}) is None  # it was read once more
    assert lost(there, passed=True, covered={(1, 3)}) is None  # it came twice, or was published again
    assert lost(there, passed=True, covered=set()) is Lost.LEDGER


class Nobody:
    """Stands where a checkpoint does."""

    def store(self, _: int) -> dict[bytes, bytes]:
        return {}

    def send(self, _: object) -> None:
        pass


def test_only_events_are_counted_and_not_what_stages_tell_each_other() -> None:
    stage = LedgerStage("", "both")
    for topic, counted in (("ledger.transfers", []), ("stripe.events", [3])):
        message = SimpleNamespace(topic=topic, partition=3, offset=42, key=None, value=b"no JSON", headers=())
        stage.take(message, cast(Checkpointer, Nobody()))
        assert stage.untold() == counted


@pytest.mark.parametrize("value", [None, 7, "evt_1", [], {}, {"account": 1, "event_id": None}, {"event_id": "\ud800"}])
def test_whatever_is_on_the_topic_has_an_identity(value: Any) -> None:
    assert "|" in identity(value)
    assert total([identity(value)]) < 2**64


def told(offset: int, metric_id: str = "default:live:paid:ch_1", version: int = 1, at: str = "10:00:00.000") -> Fact:
    row = {"metric": "Successfully Paid", "metric_id": metric_id, "occurred_at": f"2026-01-05T{at}Z", "email": ""}
    value = orjson.dumps(row | {"account": "default", "version": version, "properties": {}})
    return read_fact(("metrics.successfully_paid", 0, offset), value, 60.0)


def test_of_a_row_the_newest_version_must_be_there_and_one_that_moved_in_time_at_both_places() -> None:
    facts = newest([told(1), told(2, version=3), told(3, version=2), told(4, version=4, at="10:00:01.000")])
    assert {key: fact.version for key, fact in facts.items()} == {
        ("2026-01-05 10:00:00.000", "default:live:paid:ch_1"): 3,
        ("2026-01-05 10:00:01.000", "default:live:paid:ch_1"): 4,
    }
    assert lacking(facts.values(), dict.fromkeys(facts, 4)) == []
    assert [fact.where[2] for fact in lacking(facts.values(), dict.fromkeys(facts, 3))] == [4]
    assert len(lacking(facts.values(), {})) == 2


def test_sums_differ_by_any_version_and_in_no_other_bucket() -> None:
    facts = [told(number, f"default:live:paid:ch_{number}") for number in range(500)]
    other = told(500, "default:live:paid:ch_7", version=2)
    was, now = sums(facts), sums([other if fact.key == other.key else fact for fact in facts])
    assert [number for number in was if was[number] != now[number]] == [bucket(other)]
    assert sums(facts[::-1]) == was


@pytest.mark.parametrize("value", [b"", b"[]", b"no JSON", b'{"metric":"Dispute"}', b'{"metric":7}'])
def test_what_is_no_row_is_the_sink_s_to_bury(value: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_fact(("metrics.dispute", 0, 1), value, 0.0)
