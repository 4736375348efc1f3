"""A row that was lost after it was told is told again when somebody asks: the same fact, with a higher version."""

import pytest

from processors.rules.observation import observe
from schemas.envelope import TELL_AGAIN, Source
from schemas.routing import partition_key
from schemas.times import rfc3339
from tests.fixtures.stripe.charges import charge
from tests.fixtures.stripe.invoices import invoice
from tests.fixtures.stripe.shapes import ENDIVE, Json, at
from tests.fixtures.stripe.story import happened
from tests.ledger_harness import World, envelope_of, run

LATER = at("09-20 10:00:00")
CHARGE, INVOICE = charge(ENDIVE, "amber"), invoice(ENDIVE, "amber", "paid")


def ask(world: World, obj: Json, kind: str, moment: int) -> None:
    """The object as it was fetched at `moment`."""
    about = {"event_id": f"{obj['id']}@{moment}", "observed_at": rfc3339(moment), "type": kind}
    observation = observe(envelope_of(obj, Source.LOOKUP) | about, obj)
    assert observation is not None
    world.ledger(partition_key(obj)).apply(observation)
    world.settle()


def counted(world: World) -> dict[str, tuple[Json, Json]]:
    """What is summed up in profiles."""
    return {key: (profile["metrics"], profile["value"]) for key, profile in world.profiles().items()}


@pytest.mark.parametrize(
    "event",
    [
        happened("charge.succeeded", "09-01 10:00:02", CHARGE),
        happened("charge.succeeded", "09-01 10:00:02", charge(ENDIVE, "amber", customer=None)),
        happened("invoice.paid", "09-01 10:00:02", INVOICE),
    ],
)
@pytest.mark.parametrize("partitions", [1, 4])
def test_a_row_is_told_again_on_demand_and_only_then(event: Json, partitions: int) -> None:
    world, obj = run([event], partitions), event["data"]["object"]
    before, people, facts = world.rows(), counted(world), world.facts()
    assert before
    world.told.clear()  # as if the rows were deleted behind the ledger's back
    ask(world, obj, "", LATER)
    assert world.rows() == {}
    for moment in (LATER + 1, LATER + 2):
        ask(world, obj, TELL_AGAIN, moment)
        assert world.facts() == facts
        assert all(row["version"] > before[name]["version"] for name, row in world.rows().items())
        assert counted(world) == people
        before = world.rows()
        world.told.clear()
    ask(world, obj, TELL_AGAIN, LATER + 2)
    assert world.rows() == {}, "the same request, delivered twice, is one"
