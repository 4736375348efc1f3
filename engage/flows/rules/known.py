"""What is known of one person at one moment, and whether conditions are true of them: the `World` of a decision.

`engage.conditions` says what a name and an operator mean; here they are asked of the facts and the profile in hand.
ClickHouse is not asked: a payment that came a moment ago counts.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import cached_property
from typing import Any

from engage.conditions.catalog import of_event, of_person
from engage.conditions.model import About, Condition, Done, Filter, Group, InSegment, Related
from engage.conditions.moments import Clock
from engage.conditions.operators import matches
from engage.flows.conditions import Conditions, Filters, Happened
from engage.flows.rules import calendar
from schemas.times import unix_seconds

Row = dict[str, Any]

_NOBODY: Row = {
    "email": "",
    "name": "",
    "phone": "",
    "country": "",
    "city": "",
    "postal_code": "",
    "currency": "",
    "accounts": [],
    "customer_ids": [],
    "deleted_customer_ids": [],
    "subscriptions": {},
    "card_expirations": [],
    "card_expiration_date": None,
    "first_seen": None,
    "last_seen": None,
    "metrics": [],
    "value": [],
    "properties": {},
}
#: What a row may lack that an invoice alone, or a withdrawal, has told; conditions read these.
_BARE: Row = {
    "customer_id": "",
    "charge_id": "",
    "invoice_id": "",
    "attempt_count": 0,
    "reason": "",
    "reason_code": "",
    "properties": {},
    "source": "",
}
_SAME = {"invoice": "invoice_id", "charge": "charge_id", "customer": "customer_id"}


@dataclass(frozen=True, slots=True)
class Zones:
    """Timezones: by account, and the one of all others."""

    accounts: Mapping[str, str]
    default: str = "UTC"

    def of(self, account: str) -> str:
        """The account's timezone."""
        return self.accounts.get(account, self.default)


@dataclass
class Known:
    """One person, asked about at `now` for the sake of one event. `facts` and `profile` are read when first needed."""

    facts_of: Callable[[], Iterable[Row]]
    profile_of: Callable[[], Row | None]
    zones: Zones
    now: float
    event: Row = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    segments: frozenset[str] = frozenset()
    mailed: float = 0.0
    suppressed: str = ""

    @cached_property
    def facts(self) -> list[Row]:
        """The person's facts that stand."""
        return [_BARE | row for row in self.facts_of() if not row.get("withdrawn")]

    @cached_property
    def profile(self) -> Row:
        """The profile, with what flows have set over the customer's metadata."""
        profile = _NOBODY | (self.profile_of() or {})
        profile["email"] = profile["email"] or self.event.get("email", "")
        if self.properties:
            profile["properties"] = {**profile["properties"], **self.properties}
        return profile

    @cached_property
    def account_zone(self) -> str:
        """The name of the account's timezone."""
        accounts = self.profile["accounts"]
        return self.zones.of(self.event.get("account") or (accounts[0] if accounts else ""))

    @cached_property
    def clock(self) -> Clock:
        """Now, for windows."""
        return Clock(datetime.fromtimestamp(self.now, UTC), self.account_zone)

    def zone(self, name: str) -> tzinfo:
        """`account`, `profile` (a `timezone` among the customer's metadata, else the account's) or an IANA name."""
        if name == "account":
            return calendar.zone(self.account_zone)
        if name == "profile":
            return calendar.zone(str(self.profile["properties"].get("timezone", "")), self.account_zone)
        return calendar.zone(name)

    def passes(self, filters: Filters) -> bool:
        """Does the event pass all of them?"""
        return _passes(_BARE | self.event, filters, self.clock) if filters else True

    def holds(self, conditions: Conditions) -> bool:
        """Are the conditions true of the person now?"""
        held = (self._happened(part) if isinstance(part, Happened) else self._holds(part) for part in conditions.parts)
        return all(held) if conditions.every else any(held)

    def _holds(self, condition: Condition) -> bool:
        match condition:
            case Group():
                held = (self._holds(part) for part in condition.conditions)
                return all(held) if condition.every else any(held)
            case About() if not self.properties and self.profile_of() is None:
                return False  # nothing is known of nobody, not even what is not set
            case About():
                return all(
                    _holds(of_person(each.property), self.profile, each, self.clock) for each in condition.filters
                )
            case InSegment():
                return (condition.segment in self.segments) == condition.inside
            case Done():
                return self._done(condition)
        raise AssertionError(f"no such condition: {condition}")

    def _happened(self, wanted: Happened) -> bool:
        rows = (row for row in self.facts if row["metric"] == wanted.metric)
        rows = (row for row in rows if row["metric_id"] != self.event.get("metric_id"))
        if wanted.same is None:
            since = self.event.get("occurred_at", "")
            rows = (row for row in rows if row["occurred_at"] >= since)
        elif key := _key(self.event, wanted.same):
            rows = (row for row in rows if _key(row, wanted.same) == key)
        else:
            return False
        return any(_passes(row, wanted.where, self.clock) for row in rows)

    def _done(self, wanted: Done) -> bool:
        rows = [row for row in self.facts if row["metric"] == wanted.metric]
        if wanted.when is not None:
            stretch = self.clock.stretch(wanted.when)
            rows = [row for row in rows if stretch.holds(datetime.fromisoformat(row["occurred_at"]))]
        rows = [row for row in rows if _passes(row, wanted.where, self.clock)]
        if wanted.related is not None:
            rows = [row for row in rows if self._related(row, wanted.related)]
        count, total = wanted.comparisons
        if count is not None and not count.holds(len(rows)):
            return False
        if total is None or wanted.sum is None:
            return True
        currency, about = wanted.sum.currency, of_event(wanted.sum.of)
        assert about is not None
        summed = [about.read(row) for row in rows if not currency or row["currency"] == currency]
        return total.holds(sum((value for value in summed if value is not None), Decimal(0)))

    def _related(self, row: Row, wanted: Related) -> bool:
        """Is there the other fact (or, `absent`, is there none, and its time is over)?"""
        began, key = _milliseconds(row), _key(row, wanted.same)
        within = wanted.within.milliseconds if wanted.within else None
        after = wanted.after.milliseconds if wanted.after else None

        def fits(other: Row) -> bool:
            distance = _milliseconds(other) - began
            if within is not None and distance > within:  # sooner than the first fact counts too, as in segments
                return False
            return after is None or distance > after

        found = bool(key) and any(
            other["metric"] == wanted.metric
            and other["account"] == row["account"]
            and _key(other, wanted.same) == key
            and fits(other)
            and _passes(other, wanted.where, self.clock)
            for other in self.facts
        )
        if not wanted.absent:
            return found
        return not found and (within is None or self.now * 1000 >= began + within)


def _key(row: Row, same: str) -> str:
    if same == "subscription":
        return str(row.get("properties", {}).get("Subscription") or "")
    return str(row.get(_SAME[same]) or "")


def _milliseconds(row: Row) -> int:
    return round(unix_seconds(row["occurred_at"]) * 1000)


def _passes(row: Row, filters: Iterable[Filter], clock: Clock) -> bool:
    return all(_holds(of_event(each.property), row, each, clock) for each in filters)


def _holds(about: Any, row: Row, each: Filter, clock: Clock) -> bool:
    return about is not None and matches(about.read(row), each.operator, each.operand, clock)
