"""When the tie-out makes itself, and which days it is about."""

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from connector.tieout.daily import due
from connector.tieout.run import chosen_days
from reports.tieouts import LastTieOut
from schemas.errors import ConfigurationError

DAY = 86_400.0
NOW = 1_767_312_000.0  # 2026-01-02 00:00 UTC


def last(state: str) -> LastTieOut:
    return LastTieOut("default", True, NOW, state, 0)


def test_it_is_due_at_first_once_a_day_and_every_hour_while_something_does_not_tie() -> None:
    assert due(None, NOW)
    assert [due(last(state), NOW + 3_600) for state in ("tied", "pending", "different")] == [False, False, True]
    assert due(last("tied"), NOW + DAY)


def test_the_days_are_the_thirty_until_yesterday_where_the_account_is() -> None:
    assert chosen_days(None, None, ZoneInfo("UTC"), NOW) == (date(2025, 12, 3), date(2026, 1, 1))
    assert chosen_days(None, None, ZoneInfo("America/New_York"), NOW)[1] == date(2025, 12, 31)
    assert chosen_days(date(2025, 1, 1), date(2025, 1, 1), ZoneInfo("UTC"), NOW) == (date(2025, 1, 1),) * 2


def test_days_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="--since 2025-02-01 comes after --until 2025-01-01"):
        chosen_days(date(2025, 2, 1), date(2025, 1, 1), ZoneInfo("UTC"), NOW)
