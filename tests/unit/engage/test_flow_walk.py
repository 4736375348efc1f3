"""One person's way through a flow: each step at its time, in the order in which it would come, and why it ends."""

from typing import Any

from engage.flows.reading import parse
from engage.flows.rules.known import Zones
from engage.flows.rules.program import compile_flow
from engage.flows.trial import Past, of_fact
from engage.flows.walk import walk
from tests.unit.engage.test_flows_machine import DAY, NOW, fact

STEPS = """
  - email: {template: receipt}
  - delay: 2 days
  - trigger_split:
      where: {Currency: EUR}
      then: [{publish: {topic: euros}}]
      else: [{set_profile_property: {dunning: gentle}}]
  - split:
      when: {person: {metadata.dunning: gentle}}
      then: [{email: {template: failed_payment}}]
  - wait_until: {when: {happened: Successfully Paid}, timeout: 5 days}
  - webhook: {url: "https://shop.example/hook"}
"""


def told(text: str, facts: list[dict[str, Any]] | None = None, **past: Any) -> list[tuple[str, float, str]]:
    begin = fact()
    program = compile_flow(parse(text, "flow"))
    stops = walk(program, of_fact(begin), Past([begin, *(facts or [])], **past), Zones({}, "UTC"))
    return [(stop.kind, (stop.at - NOW) / DAY, stop.text) for stop in stops]


def flow(head: str = "", steps: str = STEPS) -> str:
    return f"trigger: {{metric: Failed Payment}}\n{head}\nsteps:\n{steps}"


def test_each_step_comes_at_its_time_and_a_property_that_was_set_counts() -> None:
    assert [(kind, at) for kind, at, _ in told(flow())] == [
        ("start", 0),
        ("email", 0),
        ("wait", 2),
        ("trigger_split", 2),
        ("set_profile_property", 2),
        ("split", 2),
        ("email", 2),
        ("wait", 7),
        ("webhook", 7),
        ("end", 7),
    ]


def test_a_wait_ends_and_the_flow_is_left_when_something_happens() -> None:
    paid = [fact("Successfully Paid", at=NOW + 3 * DAY)]
    assert told(flow(), paid)[-2:] == [("webhook", 3, "POST to shop.example"), ("end", 3, "done")]
    left = told(flow("exit_when: {happened: Successfully Paid, same: invoice}"), paid)
    assert left[-1] == ("end", 3, "exit condition")
    assert "webhook" not in [kind for kind, *_ in left]


def test_who_does_not_start_and_what_is_skipped_is_said_with_the_reason() -> None:
    none = flow().replace("Failed Payment}", "Failed Payment, where: {Invoice: is not set}}")
    assert told(none) == [("refused", 0, "trigger filters")]
    assert ("skipped", 0, "receipt: suppressed: bounced") in told(flow(), suppressed="bounced")
