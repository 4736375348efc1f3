"""More partitions, in the middle of a history: it ends in the same rows and profiles as with as many from the start."""

from random import Random
from typing import Any

import orjson
import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given, settings
from hypothesis import strategies as st

from engage.flows.rules.settle import Epoch, Rest
from engage.stages.epochs import Epoch as PersonEpoch
from engage.stages.epochs import epoch_of
from engage.stages.placing import FactPlacing, PersonPlacing
from processors.rules.ledger import Ledger
from processors.rules.placing import LedgerPlacing
from schemas.errors import ConfigurationError
from simulator.delivery.plan import Faults, plan
from simulator.rendering.objects import event_json
from simulator.rendering.shapes import VERSIONS
from streams.growing import regrouped
from streams.partitioner import partition_of
from tests.ledger_harness import MemoryStore, World
from tests.unit.processors.test_ledger_convergence import stripe


class Growing(World):
    """A world whose keys are on the partitions that Kafka's would be."""

    def _partition(self, key: str) -> int:
        return partition_of(key.encode(), len(self.stores))

    def grow(self, partitions: int) -> None:
        """As the command does it: everything between partitions has been read, and is kept."""
        self.settle()
        placing, before = LedgerPlacing(), len(self.stores)
        made: list[dict[bytes, bytes]] = [{} for _ in range(partitions)]
        for partition, store in enumerate(self.stores):
            stored = {key.encode(): value for key, value in store.stored.items()}
            for number, key, value in regrouped(placing, stored.items(), stored.get, partition, before, partitions):
                there = made[number].get(key)
                made[number][key] = value if there is None else placing.merge(key, there, value)
        self.stores = [MemoryStore() for _ in made]
        for store, records in zip(self.stores, made, strict=True):
            store.stored = {key.decode(): value for key, value in records.items()}
        self.ledgers = [Ledger(store, self.erasures) for store in self.stores]
        self.transit = [type(self.transit[0])() for _ in made]


def lived(events: list[dict[str, Any]], growths: dict[int, int], partitions: int, seed: int) -> Growing:
    """A world that has seen `events`, and was grown before those of these numbers."""
    world, rng = Growing(partitions), Random(seed)
    for number, event in enumerate(events):
        if number in growths:
            world.grow(growths[number])
        world.feed(orjson.loads(orjson.dumps(event)))
        if number % 7 == 0:
            world.checkpoint()
            while rng.random() < 0.6 and world.step(rng.randrange(len(world.stores))):
                pass
    world.settle()
    return world


@settings(max_examples=25, deadline=None)
@given(
    seed=st.sampled_from((1, 2, 3)),
    extended=st.booleans(),
    order=st.integers(0, 1000),
    first=st.integers(1, 4),
    more=st.lists(st.integers(1, 5), min_size=1, max_size=2),
    places=st.lists(st.floats(0, 1), min_size=2, max_size=2),
)
def test_growing_changes_no_row_and_no_profile_whenever_it_happens(
    seed: int, extended: bool, order: int, first: int, more: list[int], places: list[float]
) -> None:
    faults = Faults(duplicate=0.2, shuffle_window=10_000 if order % 2 else 5, versions=VERSIONS)
    deliveries, _ = plan(stripe(seed, extended).events, faults, order)
    events = [event_json(delivery.event, delivery.version) for delivery in deliveries]
    growths, count = {}, first
    for place, step in zip(sorted(places), more, strict=False):
        count += step
        growths[int(place * (len(events) - 1))] = count
    grown, whole = lived(events, growths, first, order), lived(events, {}, count, order)
    assert grown.facts() == whole.facts()
    assert grown.profiles() == whole.profiles()


def test_a_refund_that_names_only_its_charge_finds_the_customer_s_partition_after_growing() -> None:
    """Home and owner of a charge were one partition, and are two."""
    events = [event_json(event, VERSIONS[-1]) for event in stripe(1, True).events]
    late = [event for event in events if event["data"]["object"]["object"] in ("refund", "dispute")]
    early = [event for event in events if event not in late]
    assert late
    grown, whole = lived(early + late, {len(early): 7}, 1, 1), lived(early + late, {}, 7, 1)
    assert grown.facts() == whole.facts()


def test_a_record_that_is_not_where_it_belongs_is_found_before_anything_changes() -> None:
    party = b'{"customer":"cus_1"}'
    wrong = (partition_of(b"cus_1", 4) + 1) % 4
    with pytest.raises(ConfigurationError, match="belongs to another"):
        list(regrouped(LedgerPlacing(), [(b"default|live|cus_1|p", party)], lambda _: None, wrong, 4, 7))


def test_a_fact_goes_by_its_id_a_person_s_records_together_and_the_epoch_everywhere() -> None:
    facts, people = FactPlacing(), PersonPlacing()
    (fact,) = facts.place(b"w|default:live:x", b"{}", lambda _: None)
    assert fact.under == b"default:live:x"
    person = b"o|connor@example.com"  # a bar is allowed in an address
    records = [(b"s|" + person, b"{}"), (b"f|" + person + b"|m|1", b'{"metric_id":"m|1"}'), (b"p|" + person, b"{}")]
    assert {placed.under for record in records for placed in people.place(*record, lambda _: None)} == {person}
    assert [placed.under for stage in (facts, people) for placed in stage.place(b"epoch", b"{}", lambda _: None)] == [
        None,
        None,
    ]
    assert epoch_of(people.merge(b"epoch", b"9", b"10")) == PersonEpoch(10)  # as it was kept before flows slept
    asleep = b'{"began":9,"awake":20,"rest":"asleep"}'
    assert epoch_of(people.merge(b"epoch", asleep, b"10")) == PersonEpoch(10, 20, Rest.ASLEEP)
    one, other = (
        orjson.dumps({"began": began, "clock": clock, "went_back": back})
        for began, clock, back in ((5.0, 1.0, 0.0), (3.0, 9.0, 7.0))
    )
    merged = orjson.loads(facts.merge(b"epoch", one, other))
    assert Epoch(**merged) == Epoch(5.0, 9.0, 7.0)


@given(st.binary(max_size=70), st.integers(1, 50))
def test_a_key_is_where_kafka_s_own_clients_put_it(key: bytes, partitions: int) -> None:
    assert partition_of(key, partitions) == (murmur2(key) & 0x7FFFFFFF) % partitions
