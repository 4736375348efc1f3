"""What `reconcile` was asked: days, metrics and timezones."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from connector.reconcile.account import Asked, chosen_days, chosen_metrics
from connector.reconcile.facts import COMPARED, Span
from schemas.errors import ConfigurationError
from schemas.metrics import Metric

NEW_YORK = ZoneInfo("America/New_York")
LATE = datetime(2026, 3, 9, 2, 0, tzinfo=UTC).timestamp()  # still the evening of the 8th in New York


def test_without_days_it_is_the_thirty_until_yesterday_where_the_account_is() -> None:
    assert chosen_days(Asked(), NEW_YORK, LATE) == Span(date(2026, 2, 6), date(2026, 3, 7))


def test_one_end_alone_is_enough() -> None:
    assert chosen_days(Asked(first=date(2026, 3, 1)), NEW_YORK, LATE) == Span(date(2026, 3, 1), date(2026, 3, 7))
    assert chosen_days(Asked(last=date(2026, 1, 30)), NEW_YORK, LATE) == Span(date(2026, 1, 1), date(2026, 1, 30))


def test_days_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="comes after"):
        chosen_days(Asked(first=date(2026, 3, 2), last=date(2026, 3, 1)), NEW_YORK, LATE)


@pytest.mark.parametrize("name", ["failed_payment", "Failed Payment", "failed-payment"])
def test_a_metric_is_known_by_any_of_its_spellings(name: str) -> None:
    assert chosen_metrics(name) == {Metric.FAILED_PAYMENT}
    assert chosen_metrics("") == set(COMPARED)


@pytest.mark.parametrize("name", ["upcoming_invoice", "payments"])
def test_what_stripe_keeps_no_list_of_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        chosen_metrics(name)
    assert "issued_invoice" in caught.value.remedy
