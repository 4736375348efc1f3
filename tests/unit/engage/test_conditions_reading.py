"""Segments as people write them: what is understood, and that every mistake is named at its place."""

import pytest

from engage.conditions import Invalid, parse, validate
from engage.conditions.model import Definition, Done
from engage.conditions.words import sentence

EVERYTHING = """
name: Owes us money
description: Several conditions at once.
every: 10 minutes
all:
  - metric: Issued Invoice
    count: at least 2
    sum: {of: Amount, currency: USD, more than: 100.50}
    when: {in the last: 30 days}
    where:
      status: open
      Amount: {at_least: 10, less than: 2000}
      Currency: usd
      metadata.subscription.plan: {in: [pro, 007, NO]}
      DueDate: {before: today}
    without: {metric: Successfully Paid, within: 7 days}
  - any:
      - person:
          country: {in: [de, NO]}
          lifetime_value.usd: {at least: 5}
          card_expiration_date: {in_the_next: 30 days}
      - not in segment: lapsed
      - metric: failed_payment
        count: zero
        when: all time
"""


def problems_of(*lines: str) -> list[str]:
    return [str(problem) for problem in validate("all:\n" + "\n".join(lines))]


def test_a_definition_says_what_was_written() -> None:
    found = parse(EVERYTHING, "owes")
    assert (found.name, found.title, found.description) == ("owes", "Owes us money", "Several conditions at once.")
    assert str(found.every) == "10 minutes"
    assert [sentence(leaf) for leaf in found.leaves()] == [
        "has at least 2 × Issued Invoice whose Amount adds up to more than 100.50 USD in the last 30 days where status "
        "is open and Amount is at least 10 and Amount is less than 2000 and Currency is USD and "
        "metadata.subscription.plan is one of pro, 007, NO and DueDate is before today but no Successfully Paid of the "
        "same invoice within 7 days",
        "country is one of DE, NO and lifetime value.usd is at least 5 and card expiration date is in the next 30 days",
        "is not in the segment lapsed",
        "has no Failed Payment",
    ]
    assert {metric.slug for metric in found.metrics} == {"issued_invoice", "successfully_paid", "failed_payment"}


def test_a_definition_survives_json() -> None:
    found = parse(EVERYTHING, "owes")
    assert Definition.model_validate_json(found.model_dump_json()) == found


def test_doing_something_means_once_and_only_zero_is_satisfied_by_nobody() -> None:
    found = parse(
        "any:\n- metric: Failed Payment\n- metric: Failed Payment\n  count: at most 3\n"
        "- metric: Failed Payment\n  sum: {of: Amount, currency: usd, less than: 5}",
        "x",
    )
    assert [leaf.of_nothing for leaf in found.leaves() if isinstance(leaf, Done)] == [False, True, True]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (
            ["- metric: Sucessfully Paid"],
            "2:11: there is no metric 'Sucessfully Paid'; did you mean Successfully Paid?",
        ),
        (["- metric: Failed Payment", "  wen: x"], "3:3: there is no condition 'wen'; did you mean when?"),
        (
            ["- metric: Failed Payment", "  count: two"],
            "3:10: 'two' is no count; write zero, exactly 2, at least 2 or so",
        ),
        (
            ["- metric: Failed Payment", "  where: {Reson: x}"],
            "3:11: there is no property of Failed Payment 'Reson'; did you mean Reason?",
        ),
        (
            ["- metric: Issued Invoice", "  where: {Reason: x}"],
            "3:11: Issued Invoice never has 'Reason'; Failed Payment may have it",
        ),
        (
            ["- metric: Failed Payment", "  where: {Amount: {contains: 5}}"],
            "3:20: 'Amount' is a number, which has no operator 'contains'; it has: is set, is not set, equals, "
            "not equals, greater than, at least, less than, at most, between, in, not in",
        ),
        (
            ["- metric: Failed Payment", "  where: {Amount: {atleast: 5}}"],
            "3:20: there is no operator 'atleast'; did you mean at least?",
        ),
        (
            ["- metric: Failed Payment", "  where: {Amount: five}"],
            "3:19: a number is needed here, not 'five'",
        ),
        (
            ["- metric: Failed Payment", "  when: {in the last: 30 dayz}"],
            "3:23: '30 dayz' is no length of time; write a number and minutes, hours, days, weeks or months",
        ),
        (
            ["- metric: Failed Payment", "  when: {after: 2026-02-30}"],
            "3:17: '2026-02-30' is no day of the calendar: day is out of range for month",
        ),
        (
            ["- metric: Failed Payment", "  when: {on: 3 days ago}"],
            "3:14: 'on' needs a day, such as 2026-01-31 or today",
        ),
        (
            ["- metric: Successfully Paid", "  sum: {of: Amount, at least: 5}"],
            "3:8: money of different currencies is never added: a sum of it needs `currency:`, as in usd",
        ),
        (
            ["- metric: Failed Payment", "  without: {metric: Failed Payment, within: 2 days}"],
            "3:3: each Failed Payment is of the same invoice as itself; only `after:` tells of another one",
        ),
        (["- person: {contry: DE}"], "2:12: there is no property about someone 'contry'; did you mean country?"),
        (
            ["- person: {lifetime_value.xyz: {at least: 5}}"],
            "2:12: 'lifetime_value.xyz' needs a currency that Stripe knows, as in lifetime_value.usd",
        ),
        (
            ["- person: {successfully_paid_count: {at least: 1.5}}"],
            "2:48: a whole number is needed here, not '1.5'",
        ),
        (
            ["- person: {country: ''}"],
            "2:21: text is needed here; for what is empty or missing write 'is not set: true'",
        ),
        (["- in segment: A b"], "2:15: 'A b' can't be a segment's name; it is the name of its file without .yaml"),
        (["- all: 5"], "2:8: a list is needed here, not '5'"),
        (["- {}"], "2:3: a condition needs exactly one of: all, any, metric, person, in segment, not in segment"),
        (["- all: &a [*a]"], "2:12: this is no YAML: anchors (& and *) are not supported"),
        (["- metric: ["], "2:12: this is no YAML: expected the node content, but found '<stream end>'"),
    ],
)
def test_a_mistake_is_named_at_its_line_and_column_with_the_nearest_name(lines: list[str], problem: str) -> None:
    assert problems_of(*lines) == [problem]


def test_all_mistakes_are_named_at_once_in_order() -> None:
    found = validate("all:\n  - person: {contry: DE}\n  - metric: Paid\n    when: yesterday\nevry: 5 minutes\n")
    assert [(problem.line, problem.nearest) for problem in found] == [(2, "country"), (3, ""), (4, ""), (5, "every")]


@pytest.mark.parametrize("text", ["", "- a", "all: []", "name: x", "all: [x]\nany: [x]", "\x01", "a: b: c", "[" * 5000])
def test_what_is_no_segment_is_refused_in_words(text: str) -> None:
    assert validate(text)


def test_a_file_is_named_before_line_and_column() -> None:
    with pytest.raises(Invalid, match=r"^segments/vip\.yaml:2:11: there is no metric 'Paid'"):
        parse("all:\n- metric: Paid", "vip", "segments/vip.yaml")


def test_more_conditions_than_klaviyo_takes_are_refused() -> None:
    many = "all:\n" + "- any:\n" + "  - person: {country: DE}\n" * 60
    assert validate(many) == []
    more = validate(many + many.removeprefix("all:\n"))
    assert [str(problem) for problem in more] == ["1:1: there are 120 conditions, and at most 100 can be"]


@pytest.mark.parametrize("written", ["EUR", "eur", "' Eur '"])
def test_a_currency_and_a_country_may_be_written_in_any_case(written: str) -> None:
    about_facts = parse(f"all:\n  - metric: Successfully Paid\n    where: {{Currency: {written}}}\n", "x")
    (done,) = about_facts.leaves()
    assert isinstance(done, Done)
    assert done.where[0].operand == "EUR"
    about_people = parse(f"all:\n  - person: {{currency: {{in: [{written}]}}}}\n", "x")
    assert '"eur"' in about_people.root.model_dump_json()
