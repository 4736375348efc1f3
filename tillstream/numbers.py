"""What a comparison needs from ClickHouse: the daily numbers, every fact, and how many events are kept."""

from collections.abc import Mapping
from dataclasses import dataclass

from settings.table import Settings
from tillstream.compare import FactKey, Key, Sum
from warehouse.address import settings_address
from warehouse.waiting import Warehouse


@dataclass(frozen=True, slots=True)
class Numbers:
    """Live mode only."""

    daily: Mapping[Key, Sum]
    facts: tuple[FactKey, ...]
    events: int


def read_numbers(settings: Settings) -> Numbers:
    """Three queries. Raises Unavailable or ConfigurationError when ClickHouse can't answer them (yet)."""
    warehouse = Warehouse(settings_address(settings))
    _, daily = warehouse.table(
        "SELECT day, metric, currency, sum(count) AS events, sum(amount_minor) AS total FROM daily_metrics "
        "WHERE livemode GROUP BY day, metric, currency"
    )
    _, facts = warehouse.table(
        "SELECT metric, if(charge_id != '', charge_id, invoice_id) AS object_id, currency, amount_minor, "
        "toUnixTimestamp(occurred_at) AS second FROM metrics WHERE livemode"
    )
    _, events = warehouse.table("SELECT uniqExact(event_id) FROM stripe_events WHERE livemode")
    return Numbers(
        {(day, metric, currency): (int(count), int(total)) for day, metric, currency, count, total in daily},
        tuple(FactKey(*fact) for fact in facts),
        int(events[0][0]),
    )
