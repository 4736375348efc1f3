"""Conditions are told in words for people who read no YAML."""

import pytest

from engage.conditions import parse
from engage.conditions.words import Words, words
from engage.segments.library import starts


def told(condition: str) -> Words:
    return words(parse(f"all:\n- {condition}\n", "one").root)


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ("metric: Successfully Paid", "has a Successfully Paid"),
        ("{metric: Issued Invoice, when: {before: 3 days ago}}", "has an Issued Invoice more than 3 days ago"),
        ("{metric: Issued Invoice, when: {after: 3 days ago}}", "has an Issued Invoice less than 3 days ago"),
        ("{metric: Failed Payment, count: zero}", "has no Failed Payment"),
        ("{metric: Failed Payment, count: more than 2}", "has more than 2 × Failed Payment"),
        (
            "{metric: Successfully Paid, sum: {of: Amount, currency: usd, at least: 1}, when: {in the last: 1 day}}",
            "has Successfully Paid events whose Amount adds up to at least 1 USD in the last 1 day",
        ),
        (
            "{metric: Failed Payment, where: {Invoice: is set, AttemptCount: {between: [2, 4]}}}",
            "has a Failed Payment where Invoice is set and AttemptCount is between 2 and 4",
        ),
        (
            "{metric: Issued Invoice, without: {metric: Successfully Paid, within: 7 days}}",
            "has an Issued Invoice but no Successfully Paid of the same invoice within 7 days",
        ),
        ("person: {country: {not in: [DE, NO]}}", "country is none of DE, NO"),
        ("person: {card_expiration_date: {in the next: 30 days}}", "card expiration date is in the next 30 days"),
        ("person: {name: {not contains: Inc}}", "name does not contain Inc"),
        ("{metric: Issued Invoice, where: {overdue: true}}", "has an Issued Invoice where overdue is true"),
        ("not in segment: lapsed-customers", "is not in the segment lapsed-customers"),
    ],
)
def test_a_condition_in_words(condition: str, sentence: str) -> None:
    assert told(condition) == Words(sentence)


def test_groups_say_how_they_join() -> None:
    found = told("any:\n  - metric: Failed Payment\n  - metric: Refunded Payment")
    assert found == Words("any of", (Words("has a Failed Payment"), Words("has a Refunded Payment")))


def test_everything_that_a_new_segment_may_begin_with_is_one() -> None:
    found = {name: parse(text, name) for name, text in starts().items()}
    assert {"issued-but-not-paid", "unpaid-invoices", "lapsed-customers"} <= set(found)
    assert all(each.title != name and each.description for name, each in found.items())
    assert all(words(each.root) for each in found.values())
