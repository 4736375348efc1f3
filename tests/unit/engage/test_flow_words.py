"""A flow in words, and as the tree that the console draws."""

import pytest

from console.flows import steps
from engage.flows import words as flow_words
from engage.flows.reading import parse
from engage.flows.rules.program import compile_flow

EVERYTHING = """
trigger: {metric: Failed Payment, where: {Amount: {greater than: 10}}}
reentry: {once_per: Invoice}
profile_filters: {all: [{person: {country: DE}}, {metric: Successfully Paid, count: at least 2}]}
exit_when: {any: [{happened: Successfully Paid, same: invoice}, {person: {country: NO}}]}
quiet_hours: {from: "21:00", until: "08:00", timezone: profile}
smart_sending: 16 hours
steps:
  - email: {template: failed_payment, transactional: true}
  - delay: {for: 3 days, until: "09:00", weekdays: [mon, fri], timezone: profile}
  - split:
      when: {metric: Successfully Paid, count: at least 10}
      then:
        - set_profile_property: {dunning: gentle}
        - trigger_split:
            where: {Currency: EUR}
            then: [{exit: true}]
      else:
        - id: again
          email: {template: failed_payment_reminder, to: team@shop.example}
  - wait_until: {when: {happened: Refunded Payment}, timeout: 1 week}
  - webhook: {url: "https://shop.example/hook"}
  - publish: {topic: dunning}
"""


def test_what_starts_and_ends_it() -> None:
    flow = parse(EVERYTHING, "all")
    assert flow_words.trigger(flow) == "Failed Payment where Amount is more than 10"
    assert list(flow_words.rules(flow)) == [
        "Only people of whom this is true, asked again before every message: country is DE and the person has at least "
        "2 × Successfully Paid.",
        "One person starts it once for each Invoice.",
        "It ends at once when a Successfully Paid of the same invoice comes, or country is NO.",
        "No mail from 21:00 to 08:00 on the person's clock: it waits.",
        "No mail to whom another was sent within 16 hours.",
    ]


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        ("{segment: vip}", "somebody enters the segment vip"),
        ("{segment: vip, on: left}", "somebody leaves the segment vip"),
        ("{date: card_expiration_date, days_before: 14}", "14 days before the card expiration date, at 09:00"),
        ("{date: metadata.birthday, repeat: yearly}", "the birthday, at 09:00, every year"),
    ],
)
def test_triggers(trigger: str, words: str) -> None:
    flow = parse(f"trigger: {trigger}\nsteps: [{{delay: 1 day}}]", "one")
    assert flow_words.trigger(flow) == words


def test_the_tree_names_its_steps_as_messages_do() -> None:
    flow = parse(EVERYTHING, "all")
    tree = steps(flow)
    assert [step.kind for step in tree] == ["email", "delay", "split", "wait_until", "webhook", "publish"]
    split = tree[2]
    assert [step.kind for step in split.then] == ["set_profile_property", "trigger_split"]
    assert [step.id for step in split.otherwise] == ["again"]
    told = {step.id: step.text for step in (*tree, *split.then, *split.then[1].then, *split.otherwise)}
    assert set(told) == {instruction.id for instruction in compile_flow(flow).instructions}
    assert told["delay-1"] == "3 days, then until 09:00 on the person's clock on Mon, Fri"
    assert told["again"] == "failed_payment_reminder to team@shop.example"
    assert told["wait_until-1"] == "until a Refunded Payment comes, at most 7 days"
    assert told["split-1"] == "the person has at least 10 × Successfully Paid?"
    assert told["trigger_split-1"] == "Currency is EUR?"
