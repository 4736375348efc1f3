"""Closing the books of a month: what it comes to is kept, with who closed it and when."""

from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Final

from reports import books
from reports.books import Closing, Month
from schemas.errors import ConfigurationError
from warehouse.client import Warehouse
from warehouse.tables import CLOSINGS

#: What is on its way into ClickHouse has its time already, and can't be seen yet: books are closed as of before it.
_ARRIVING: Final = timedelta(seconds=5)


async def close(warehouse: Warehouse, month: Month, who: str) -> Closing:
    """Keep what `month` comes to by ClickHouse's clock. Raises ConfigurationError while it lasts; Unavailable."""
    now = (await warehouse.row("SELECT now64(3, 'UTC') AS now"))["now"].replace(tzinfo=UTC)
    ends = month.bounds["until"]
    if now < ends:
        told = f"{month.first:%B %Y} is not over in {month.zone.key}"
        raise ConfigurationError(told, remedy=f"close it after {ends.astimezone(month.zone):%Y-%m-%d %H:%M}")
    at = max(now - _ARRIVING, await books.begin(warehouse))
    totals = await books.totals(warehouse, month, at)
    closing = Closing(
        closing_id=token_hex(8),
        account=month.account,
        livemode=month.livemode,
        month=month.first,
        timezone=month.zone.key,
        known_at=at,
        closed_at=now,
        closed_by=who,
        totals=totals,
    )
    base = {
        "closing_id": closing.closing_id,
        "account": closing.account,
        "livemode": closing.livemode,
        "month": closing.month.isoformat(),
        "timezone": closing.timezone,
        "known_at": _told(at),
        "closed_at": _told(now),
        "closed_by": who,
    }
    rows = [
        base
        | {"metric": one.metric, "currency": one.currency, "count": one.count}
        | {"amount": str(one.amount), "amount_minor": one.amount_minor}
        for one in totals
    ]
    await warehouse.insert(CLOSINGS.name, rows or [base])
    return closing


def _told(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
