"""What comes to a job that is there: nothing that was asked for is left out, and nothing is done that nobody wants."""

from dataclasses import replace

from connector.imports.jobs import ENDED, Held, Job, Stage, is_open, joined, new_id

JOB = Job("imp_1", "default", True, 1_000, ("charges", "refunds"))
RUNNING = Held("imp_1", "the connector", Stage.RUNNING)


def asked(**changes: object) -> Job:
    return replace(JOB, id="imp_2", **changes)  # type: ignore[arg-type]


def test_who_asks_for_what_is_under_way_joins_it() -> None:
    for less in (asked(), asked(since=2_000), asked(resources=("refunds",))):
        assert joined(JOB, RUNNING, less) == JOB
        assert joined(JOB, None, less) == JOB  # nobody has taken it yet


def test_who_asks_for_more_than_is_under_way_gets_both() -> None:
    more = joined(JOB, RUNNING, asked(since=500, resources=("customers", "refunds")))
    assert (more.id, more.since, more.resources) == ("imp_2", 500, ("charges", "refunds", "customers"))
    assert joined(JOB, RUNNING, asked(again=True)).again
    assert joined(replace(JOB, again=True), RUNNING, asked(since=500)).again


def test_what_has_ended_or_was_canceled_is_asked_for_anew() -> None:
    for stage in ENDED:
        assert joined(JOB, Held("imp_1", "", stage), asked()) == asked()
    assert joined(replace(JOB, canceled=True), RUNNING, asked()) == asked()
    assert joined(None, None, asked()) == asked()
    assert joined(JOB, RUNNING, asked(livemode=False)) == asked(livemode=False)


def test_a_job_is_open_until_its_own_end_is_told() -> None:
    assert not is_open(None, None)
    assert is_open(JOB, None)
    assert is_open(JOB, RUNNING)
    assert is_open(JOB, Held("imp_1", "", Stage.RELEASED))
    assert is_open(JOB, Held("imp_0", "", Stage.FINISHED))
    assert not is_open(JOB, Held("imp_1", "", Stage.FAILED, "charges: …"))


def test_an_id_begins_with_its_time_and_is_not_given_twice() -> None:
    ids = {new_id(1_767_225_600) for _ in range(20)}
    assert len(ids) == 20
    assert all(one.startswith("imp_20260101000000_") for one in ids)
