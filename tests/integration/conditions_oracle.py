"""Who is a member, by brute force over plain rows: written from docs/segments.md, sharing no rule with the product."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from engage.conditions.model import About, Condition, Done, Filter, Group, InSegment
from engage.conditions.moments import Moment, Span, Window
from schemas.metrics import Metric
from tests.integration.conditions_world import SEGMENT, Row, World

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,18})?")
_EARLIEST: Final = datetime(1, 1, 1, tzinfo=UTC)


class Oracle:
    """Asked at `now`, in `zone`."""

    def __init__(self, world: World, now: datetime, zone: str) -> None:
        self.world, self.now, self.zone = world, now, ZoneInfo(zone)

    def members(self, root: Condition) -> set[tuple[str, bool]]:
        """Everybody with a profile or a fact who satisfies it."""
        everybody = {(row["email"], row["livemode"]) for row in self.world.people + self.world.facts if row["email"]}
        return {who for who in everybody if self.holds(root, *who)}

    def holds(self, root: Condition, email: str, livemode: bool) -> bool:
        match root:
            case Group():
                found = [self.holds(part, email, livemode) for part in root.conditions]
                return all(found) if root.every else any(found)
            case InSegment():
                return (root.segment == SEGMENT and (email, livemode) in self.world.members) == root.inside
            case About():
                rows = [p for p in self.world.people if p["email"] == email and p["livemode"] == livemode]
                return any(
                    all(self.passes(each, person_value(row, each.property)) for each in root.filters) for row in rows
                )
            case Done():
                return self._done(root, email, livemode)

    def _done(self, done: Done, email: str, livemode: bool) -> bool:
        facts = [
            row
            for row in self.world.facts
            if (row["email"], row["livemode"], row["metric"]) == (email, livemode, done.metric)
            and (done.when is None or self._in(done.when, datetime.fromisoformat(row["occurred_at"])))
            and all(self.passes(each, event_value(row, each.property)) for each in done.where)
            and self._has_related(done, row)
        ]
        if done.count is not None and not _compares(Decimal(len(facts)), done.count.operator, done.count.number):
            return False
        if done.count is None and done.sum is None:
            return bool(facts)
        if done.sum is None:
            return True
        counted = [row for row in facts if not done.sum.currency or row["currency"] == done.sum.currency]
        values = [value for row in counted if (value := event_value(row, done.sum.of)) is not None]
        return _compares(sum(values, Decimal(0)), done.sum.comparison.operator, done.sum.comparison.number)

    def _has_related(self, done: Done, row: Row) -> bool:
        related = done.related
        if related is None:
            return True

        def thing(each: Row) -> Any:
            key = {"subscription": each["properties"].get("Subscription", "")}.get(
                related.same, each.get(f"{related.same}_id", "")
            )
            return (each["account"], each["livemode"], key) if key else None

        at = datetime.fromisoformat(row["occurred_at"])
        later = [
            datetime.fromisoformat(other["occurred_at"]) - at
            for other in self.world.facts
            if other["metric"] == related.metric
            and thing(row) is not None
            and thing(other) == thing(row)
            and all(self.passes(each, event_value(other, each.property)) for each in related.where)
        ]
        if related.within:
            length = _length(related.within)
            later = [distance for distance in later if distance <= length]
            if related.absent and self.now - at < length:
                return False
        if related.after:
            later = [distance for distance in later if distance > _length(related.after)]
        return bool(later) != related.absent

    def passes(self, each: Filter, value: Any) -> bool:
        name, operand = each.operator.value, each.operand
        if name == "is set":
            return value not in (None, "", [])
        if name == "is not set":
            return value in (None, "", [])
        if value in (None, "", []) and value is not False:
            return False
        if isinstance(operand, Window):
            return self._in(operand, _time(value))
        if isinstance(operand, bool):
            return str(value).lower() == str(operand).lower()
        if isinstance(value, list):
            return (operand in value) is (name == "contains")
        first = operand[0] if isinstance(operand, tuple) else operand
        if isinstance(first, Decimal):
            number = value if isinstance(value, Decimal) else Decimal(value) if _NUMBER.fullmatch(value) else None
            return number is not None and _compares(number, name, operand)
        checks: dict[str, Callable[[], bool]] = {
            "equals": lambda: value == operand,
            "in": lambda: value in operand,  # type: ignore[operator]
            "contains": lambda: value.find(operand) >= 0,
            "starts with": lambda: value[: len(operand)] == operand,  # type: ignore[arg-type]
            "ends with": lambda: value[-len(operand) :] == operand,  # type: ignore[arg-type]
        }
        return not checks[name[4:]]() if name.startswith("not ") else checks[name]()

    def _in(self, window: Window, value: datetime | date | None) -> bool:
        if value is None:
            return False
        low, high = self._bounds(window)  # both inclusive, to the millisecond
        if isinstance(value, datetime):
            return low <= value <= high
        midnight = datetime(value.year, value.month, value.day, tzinfo=self.zone).astimezone(UTC)
        return low <= self._next_midnight(value) - timedelta(milliseconds=1) and midnight <= high

    def _bounds(self, window: Window) -> tuple[datetime, datetime]:
        tick, forever = timedelta(milliseconds=1), datetime(9999, 1, 1, tzinfo=UTC)
        if window.span:
            sign = -1 if window.kind == "in the last" else 1
            return (self._away(window.span, -1), self.now) if sign < 0 else (self.now, self._away(window.span, 1))
        assert window.first is not None
        first = self._moment(window.first)
        if window.kind == "before":
            return _EARLIEST, first[0] - tick
        if window.kind == "after":
            return first[1] + tick, forever
        if window.kind == "on":
            return first
        assert window.second is not None
        return first[0], self._moment(window.second)[1]

    def _moment(self, moment: Moment) -> tuple[datetime, datetime]:
        if moment.kind in ("today", "day"):
            day = self.now.astimezone(self.zone).date() if moment.kind == "today" else date.fromisoformat(moment.at)
            begin = datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)
            return begin, self._next_midnight(day) - timedelta(milliseconds=1)
        if moment.kind == "time":
            at = datetime.strptime(moment.at[:16], "%Y-%m-%d %H:%M").replace(tzinfo=self.zone).astimezone(UTC)
            return at, at
        at = self.now if moment.span is None else self._away(moment.span, -1 if moment.kind == "ago" else 1)
        return at, at

    def _next_midnight(self, day: date) -> datetime:
        after = day + timedelta(days=1)
        return datetime(after.year, after.month, after.day, tzinfo=self.zone).astimezone(UTC)

    def _away(self, span: Span, sign: int) -> datetime:
        if span.unit in ("minute", "hour"):
            return self.now + sign * _length(span)
        wall = self.now.astimezone(self.zone).replace(tzinfo=None)
        if span.unit == "month":
            months = wall.year * 12 + wall.month - 1 + sign * span.number
            for day in range(wall.day, 0, -1):  # the last day that the month has
                try:
                    return wall.replace(months // 12, months % 12 + 1, day).replace(tzinfo=self.zone).astimezone(UTC)
                except ValueError:
                    continue
        return (wall + sign * _length(span)).replace(tzinfo=self.zone).astimezone(UTC)


def _length(span: Span) -> timedelta:
    return timedelta(**{f"{span.unit}s": span.number})


def _compares(value: Decimal, name: str, operand: Any) -> bool:
    if name == "between":
        return bool(operand[0] <= value <= operand[1])
    if name in ("in", "not in"):
        return any(value == each for each in operand) is (name == "in")
    difference = value - operand
    return {
        "equals": difference == 0,
        "not equals": difference != 0,
        "greater than": difference > 0,
        "at least": difference >= 0,
        "less than": difference < 0,
        "at most": difference <= 0,
    }[name]


def _time(value: Any) -> datetime | date | None:
    if not isinstance(value, str):
        return value if isinstance(value, date) else None
    try:
        if len(value) == 10:
            found: datetime | date = datetime.strptime(value, "%Y-%m-%d").date()
        else:
            found = datetime.strptime(value.replace("Z", "+0000"), "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        return None
    return found if 1971 <= found.year <= 2298 else None


def event_value(row: Row, name: str) -> Any:
    """A property of a fact by its name in docs/segments.md."""
    told = row["properties"]
    family, _, rest = name.partition(".")
    if family == "metadata":
        origins = ["credit_note", "dispute", "charge", "invoice", "subscription", "line", "customer"]
        origin, _, key = rest.partition(".")
        if origin in origins and key:
            return told.get("metadata", {}).get(origin, {}).get(key)
        found = [told["metadata"][each][rest] for each in origins if rest in told.get("metadata", {}).get(each, {})]
        return found[0] if found else None
    if family == "Items":
        return [item["Product"] for item in told.get("Items", [])]
    columns = {"Invoice": "invoice_id", "Charge": "charge_id", "Customer": "customer_id", "Account": "account"}
    columns |= {"Source": "source", "Reason": "reason", "ReasonCode": "reason_code"}
    if name in columns:
        return row[columns[name]]
    if name in ("overdue", "requires_action", "Disputed"):
        return told.get(name, False)
    if name in ("DueDate", "NextPaymentAttempt"):
        return datetime.fromisoformat(told[name]) if name in told else None
    if name in ("Total", "RefundedInAll"):
        return Decimal(told[name]) if name in told else None
    if name == "AttemptCount":
        return Decimal(row["attempt_count"]) if row["attempt_count"] else None
    special = {"Amount": lambda: Decimal(row["amount"]), "Currency": lambda: row["currency"].upper()}
    return special[name]() if name in special else told.get(name)


def person_value(row: Row, name: str) -> Any:
    """A property of a person by its name in docs/segments.md."""
    family, _, rest = name.partition(".")
    if family == "metadata":
        return row["properties"].get(rest)
    if family == "lifetime_value":
        return next((Decimal(each["lifetime_value"]) for each in row["value"] if each["currency"] == rest), None)
    if name.endswith("_count"):
        slugs = {each["metric"]: each["count"] for each in row["metrics"]}
        return Decimal(next((slugs[m] for m in Metric if m.slug == name.removesuffix("_count") and m in slugs), 0))
    if name in ("first_seen", "last_seen"):
        return datetime.fromisoformat(row[name])
    if name == "card_expiration_date":
        return date.fromisoformat(row[name]) if row[name] else None
    if name == "subscription_statuses":
        return list(row["subscriptions"].values())
    if name == "card_brands":
        return [card["brand"] for card in row["card_expirations"]]
    if name == "card_brand":
        return row["card_expirations"][0]["brand"] if row["card_expirations"] else None
    return row[name]
