"""The true metrics of a simulated history: what any number of correct deliveries of its events must add up to."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from schemas.metrics import Metric

DailyKey = tuple[date, Metric, str, str]


@dataclass(frozen=True, slots=True)
class Fact:
    """One metric row as it must come out. Money in minor units, `occurred_at` in Unix seconds.

    `email` is trimmed and lower case, '' when nothing that was delivered names one. `attempt_count` and `reason` are
    given for failed payments only (0 and '' when Stripe's events don't say). `out_of_band`: paid outside Stripe.
    """

    metric: Metric
    charge_id: str
    invoice_id: str
    account: str
    livemode: bool
    occurred_at: int
    email: str
    currency: str
    amount_minor: int
    customer_id: str = ""
    attempt_count: int = 0
    reason: str = ""
    reason_code: str = ""
    out_of_band: bool = False


@dataclass(frozen=True, slots=True)
class Truth:
    """All facts of a world, in order of time."""

    facts: list[Fact]

    def daily(self, timezone: str) -> dict[DailyKey, tuple[int, int]]:
        """(day, metric, account, currency) → (count, sum in minor units), days as `timezone` (IANA name) has them."""
        zone = ZoneInfo(timezone)
        sums: dict[DailyKey, list[int]] = defaultdict(lambda: [0, 0])
        for fact in self.facts:
            day = datetime.fromtimestamp(fact.occurred_at, zone).date()
            entry = sums[day, fact.metric, fact.account, fact.currency]
            entry[0] += 1
            entry[1] += fact.amount_minor
        return {key: (count, amount) for key, (count, amount) in sums.items()}
