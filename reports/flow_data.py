"""What flows work with, read from ClickHouse: facts and people, as their JSON stands on the topics."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from warehouse.waiting import Warehouse

Row = dict[str, Any]

_FACTS = (
    "metric, metric_id, occurred_at, email, account, livemode, customer_id, charge_id, invoice_id, currency, amount, "
    "amount_minor, attempt_count, reason, reason_code, source, properties, version"
)
_PEOPLE = (
    "email, livemode, name, phone, country, city, postal_code, accounts, customer_ids, card_expirations, "
    "card_expiration_date, first_seen, last_seen, currency, metrics, value, properties"
)
_AT_ONCE = 1_000  # people a query


class FlowData:
    """Reads live facts and people, or those of test mode: the two never mix."""

    def __init__(self, warehouse: Warehouse, live: bool) -> None:
        self._warehouse = warehouse
        self.live = live

    def fact(self, metric_id: str) -> Row | None:
        """One fact, whole."""
        found = self._rows(f"SELECT {_FACTS} FROM metrics WHERE metric_id = {{id:String}} LIMIT 1", {"id": metric_id})
        return self._with_lines(found[0]) if found else None

    def newest(self, metric: str, email: str, limit: int) -> Iterator[Row]:
        """Facts of a metric that belong to somebody, newest first; of `email` only, unless it is ''."""
        rows = self._rows(
            f"SELECT {_FACTS} FROM metrics WHERE metric = {{metric:String}} AND livemode = {{live:Bool}} "
            "AND email != '' AND ({email:String} = '' OR email = {email:String}) "
            "ORDER BY occurred_at DESC, metric_id LIMIT {limit:UInt32}",
            {"metric": metric, "email": email, "limit": limit},
        )
        yield from map(self._with_lines, rows)

    def since(self, metric: str, begin: datetime) -> list[Row]:
        """Every fact of a metric from `begin` on, oldest first, also those that belong to nobody."""
        return self._rows(
            f"SELECT {_FACTS} FROM metrics WHERE metric = {{metric:String}} AND livemode = {{live:Bool}} "
            "AND occurred_at >= {begin:DateTime64(3, 'UTC')} ORDER BY occurred_at, metric_id",
            {"metric": metric, "begin": begin.astimezone(UTC)},
        )

    def changes(self, segment: str, change: str, begin: datetime) -> list[Row]:
        """Who `entered` or `left` a segment from `begin` on; its first evaluation is no change."""
        return self._rows(
            "SELECT segment, email, livemode, change, at FROM segment_changes WHERE segment = {segment:String} "
            "AND change = {change:String} AND livemode = {live:Bool} AND NOT initial "
            "AND at >= {begin:DateTime64(3, 'UTC')} ORDER BY at, email",
            {"segment": segment, "change": change, "begin": begin.astimezone(UTC)},
        )

    def facts_of(self, emails: Iterable[str]) -> dict[str, list[Row]]:
        """Every fact of some people, by email, oldest first."""
        found: dict[str, list[Row]] = defaultdict(list)
        for some in _some(emails):
            for row in self._rows(
                f"SELECT {_FACTS} FROM metrics WHERE livemode = {{live:Bool}} AND email IN {{some:Array(String)}} "
                "ORDER BY occurred_at, metric_id",
                {"some": some},
            ):
                found[row["email"]].append(row)
        return found

    def people(self, emails: Iterable[str]) -> dict[str, Row]:
        """The profiles of some people, by email."""
        return {
            row["email"]: row
            for some in _some(emails)
            for row in self._rows(
                f"SELECT {_PEOPLE} FROM profiles WHERE livemode = {{live:Bool}} AND email IN {{some:Array(String)}}",
                {"some": some},
            )
        }

    def segments_of(self, emails: Iterable[str]) -> dict[str, list[str]]:
        """The segments that some people are in, by email."""
        return {
            row["email"]: row["segments"]
            for some in _some(emails)
            for row in self._rows(
                "SELECT email, groupArray(segment) AS segments FROM segment_members "
                "WHERE livemode = {live:Bool} AND email IN {some:Array(String)} GROUP BY email",
                {"some": some},
            )
        }

    def somebody(self, *, with_card: bool = False, segment: str = "") -> Row | None:
        """The person who was seen last; of those with a card, or in a segment, if wanted."""
        found = self._rows(
            f"SELECT {_PEOPLE} FROM profiles WHERE livemode = {{live:Bool}} "
            "AND (NOT {card:Bool} OR card_expiration_date IS NOT NULL) AND ({segment:String} = '' OR email IN "
            "(SELECT email FROM segment_members WHERE segment = {segment:String} AND livemode = {live:Bool})) "
            "ORDER BY last_seen DESC LIMIT 1",
            {"card": with_card, "segment": segment},
        )
        return found[0] if found else None

    def with_date(self, name: str) -> list[str]:
        """The emails of people who have a date of that name: a column of the profile, or a key of their metadata."""
        known = (
            "card_expiration_date IS NOT NULL" if name == "card_expiration_date" else "properties[{key:String}] != ''"
        )
        rows = self._rows(
            f"SELECT email FROM profiles WHERE livemode = {{live:Bool}} AND {known} ORDER BY email",
            {"key": name.removeprefix("metadata.")},
        )
        return [row["email"] for row in rows]

    def suppressed(self) -> dict[str, str]:
        """Who is not sent mail, and why."""
        rows = self._rows("SELECT email, reason FROM suppressions WHERE livemode = {live:Bool}", {})
        return {row["email"]: row["reason"] for row in rows}

    def _with_lines(self, row: Row) -> Row:
        if row["metric"] != "Issued Invoice":
            return row
        lines = self._rows(
            "SELECT description, product_id, price_id, quantity, currency, amount, period_start, period_end, metadata "
            "FROM line_items WHERE invoice_id = {invoice:String} AND account = {account:String} ORDER BY position",
            {"invoice": row["invoice_id"], "account": row["account"]},
        )
        return row | {"lines": lines}

    def _rows(self, query: str, parameters: Row) -> list[Row]:
        return self._warehouse.json_rows(query, {"live": self.live, **parameters})


def _some(emails: Iterable[str]) -> Iterator[list[str]]:
    every = sorted(set(emails))
    for begin in range(0, len(every), _AT_ONCE):
        yield every[begin : begin + _AT_ONCE]
