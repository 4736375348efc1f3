"""Which facts act, and how often: whatever the order of their versions, a live one once and history never."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engage.flows.rules import settle
from engage.flows.rules.settle import Epoch
from schemas.times import rfc3339

NOW = 1_800_000_000.0
EPOCH = Epoch(began=NOW - 3600, clock=NOW)


def row(version: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "metric": "Failed Payment",
        "metric_id": "m",
        "occurred_at": rfc3339(NOW - 10),
        "received_at": rfc3339(NOW),
        "email": "ann@example.com",
        "livemode": True,
        "source": "webhook",
        "properties": {},
        "version": version,
        **changes,
    }


def acts(rows: list[dict[str, Any]], settle_seconds: float = 30) -> list[tuple[float, str]]:
    """When and for whom a fact acts, whose versions come a second apart."""
    fact, done = None, []
    for second, version in enumerate(rows):
        now = NOW + second
        if fact is None:
            fact = settle.new_fact(version, EPOCH, now, settle_seconds)
        elif version["version"] >= fact.version:
            settle.newer(fact, version, now)
        if settle.ripe(fact, now):
            done.append((now - NOW, fact.person))
            fact.due = None
    assert fact is not None
    for later in range(len(rows), 120):
        if settle.ripe(fact, NOW + later):
            done.append((float(later), fact.person))
            fact.due = None
    return done


def test_a_live_fact_acts_when_it_has_settled() -> None:
    assert acts([row()]) == [(30, "ann@example.com")]


def test_a_complete_fact_acts_at_once() -> None:
    whole = {"charge_id": "ch_1", "invoice_id": "in_1", "attempt_count": 1}
    assert acts([row(**whole)]) == [(0, "ann@example.com")]
    assert acts([row(), row(2), row(3, **whole)]) == [(2, "ann@example.com")]


def test_an_attempt_without_a_charge_waits_for_one() -> None:
    assert acts([row(invoice_id="in_1", attempt_count=1, reason="Your card was declined.")]) == [
        (30, "ann@example.com")
    ]


def test_what_is_taken_back_before_it_acts_does_not_act() -> None:
    assert acts([row(), {"metric_id": "m", "version": 2, "withdrawn": True, "email": "", "livemode": True}]) == []


def test_what_is_taken_back_and_told_at_another_time_acts_once() -> None:
    assert acts([row(), row(2, withdrawn=True), row(3)]) == [(30, "ann@example.com")]


def test_what_is_taken_back_first_and_then_told_acts_all_the_same() -> None:
    """The first telling and its withdrawal may be of one checkpoint, which sends the newest of each time alone."""
    whole = {"charge_id": "ch_1", "invoice_id": "in_1", "attempt_count": 1}
    assert acts([row(withdrawn=True), row(2, **whole)]) == [(1, "ann@example.com")]
    assert acts([row(withdrawn=True), *[row(withdrawn=True)] * 49, row(2)]) == [(50, "ann@example.com")]
    assert acts([row(source="import", withdrawn=True), row(2)]) == []


def test_an_email_that_comes_later_gets_it() -> None:
    assert acts([row(email="")] + [row(2)] * 2) == [(30, "ann@example.com")]
    assert acts([row(email="")] * 50 + [row(2)]) == [(50, "ann@example.com")]
    assert acts([row(), row(2, email="new@example.com")]) == [(30, "new@example.com")]


def test_test_people_are_other_people() -> None:
    assert acts([row(livemode=False)]) == [(30, "test:ann@example.com")]


def test_a_swept_fact_acts_while_it_is_fresh() -> None:
    assert acts([row(source="sweep", occurred_at=rfc3339(NOW - 86_000))]) != []
    assert acts([row(source="sweep", occurred_at=rfc3339(NOW - 87_000))]) == []


def test_what_was_received_before_flows_ran_here_is_history() -> None:
    assert acts([row(received_at=rfc3339(EPOCH.began - 1))]) == []


def test_an_old_payment_that_only_a_refund_told_of_sends_no_receipt() -> None:
    assert acts([row(occurred_at=rfc3339(NOW - 40 * 86_400))]) == []


def test_a_simulated_january_is_as_live_as_today() -> None:
    epoch = Epoch(began=NOW - 3600)
    told = row(occurred_at="2026-01-05T10:00:00.000Z")
    assert settle.advance(epoch, told)
    assert settle.is_live(told, epoch, NOW)
    assert settle.is_live(row(occurred_at="2026-01-01T10:00:00.000Z"), epoch, NOW)


def test_nobodys_fact_is_given_up_after_three_days() -> None:
    fact = settle.new_fact(row(email=""), EPOCH, NOW, 30)
    assert not settle.hopeless(fact, NOW + 86_400)
    look = settle.next_look(fact, NOW + 31)
    assert look is not None
    assert settle.hopeless(fact, look)


VERSIONS = st.lists(
    st.builds(
        row,
        version=st.integers(1, 5),
        email=st.sampled_from(["", "ann@example.com", "bob@example.com"]),
        source=st.sampled_from(["webhook", "lookup", "import", "sweep"]),
        withdrawn=st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@given(VERSIONS)
def test_however_its_versions_come_a_fact_acts_at_most_once_and_history_never(rows: list[dict[str, Any]]) -> None:
    done = acts(rows)
    assert len(done) <= 1
    if rows[0]["source"] in ("import", "lookup"):
        assert done == []
    if done:
        assert done[0][1] in ("ann@example.com", "bob@example.com")


@given(st.permutations([row(1), row(2, email="bob@example.com"), row(3)]))
def test_it_acts_for_whom_the_newest_version_names(rows: list[dict[str, Any]]) -> None:
    assert acts(list(rows)) == [(30, "ann@example.com")]
