"""The round trip: Klaviyo's JSON ▸ our YAML ▸ one query ▸ the right people, on the real engine."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest

from engage.conditions.compile import compile_members
from engage.conditions.moments import Clock
from engage.conditions.reading import parse
from engage.klaviyo.document import names_in
from engage.klaviyo.segments import as_yaml, import_segments
from schemas.metrics import Metric
from schemas.profile import Profile
from tests.conftest import ClickHouseServer
from tests.integration.console_support import create_schema, insert, rfc, row

FIXTURE = Path(__file__).parents[2] / "fixtures" / "klaviyo" / "segments.json"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def person(name: str, country: str = "DE", **properties: str) -> Profile:
    seen = rfc(NOW - timedelta(days=400))
    return Profile(
        email=f"{name}@example.com",
        livemode=True,
        country=country,
        first_seen=seen,
        last_seen=seen,
        updated_at=seen,
        properties=properties,
        version=1,
    )


def facts() -> list[Any]:
    """Payments and failures, told as (who, days ago, minor units, currency) and (who, days ago, reason)."""
    paid = [
        ("twice", 10, 2000, "eur"),
        ("twice", 80, 2000, "eur"),
        ("once", 10, 2000, "eur"),  # one payment only, and not a hundred
        ("late", 10, 2000, "eur"),
        ("late", 95, 2000, "eur"),  # the second lies outside of the 90 days
        ("dollars", 10, 2000, "usd"),
        ("dollars", 11, 20000, "usd"),  # another currency counts for nothing
        ("large", 300, 10001, "eur"),  # the sum has no window
        ("even", 300, 10000, "eur"),  # exactly a hundred is not more
        ("abroad", 10, 99900, "eur"),
        ("small", 10, 1000, "eur"),
        ("small", 11, 1000, "eur"),  # ten is not more than ten
        ("broke", 70, 99900, "eur"),  # a big spender, but failing: see below
        ("mended", 20, 100, "eur"),
    ]
    failed = [
        ("broke", 15, "Your card was declined."),
        ("noplan", 15, "Your card was declined."),
        ("expired", 15, "Your card has expired."),
        ("today", 0.5, "Your card was declined."),  # between 30 and 1 days ago
        ("old", 31, "Your card was declined."),
        ("mended", 15, "Your card was declined."),  # has paid this year
    ]
    made = []
    for number, (who, days, minor, currency) in enumerate(paid):
        at, email = NOW - timedelta(days=days), f"{who}@example.com"
        made.append(row(Metric.SUCCESSFULLY_PAID, number, at, email=email, amount_minor=minor, currency=currency))
    for number, (who, days, reason) in enumerate(failed):  # type: ignore[assignment]
        at, email = NOW - timedelta(days=days), f"{who}@example.com"
        made.append(row(Metric.FAILED_PAYMENT, number, at, email=email, reason=reason))
    return made


@pytest.mark.parametrize(
    ("segment", "members"),
    [("big-spenders-de", ["austria", "large", "twice"]), ("failing", ["broke"])],
)
async def test_the_right_people_are_members(
    segment: str, members: list[str], clickhouse_server: ClickHouseServer, database: str
) -> None:
    await create_schema(clickhouse_server.url, database)
    everybody = [person(name) for name in "twice once late dollars large even small".split()]
    everybody += [person(name, plan="gold") for name in "broke expired today old mended".split()]
    everybody += [person("noplan"), person("abroad", "FR"), person("austria", "AT")]
    both = [row(Metric.SUCCESSFULLY_PAID, 99, NOW - timedelta(days=3), email="austria@example.com", amount_minor=10100)]
    both[0] = both[0].model_copy(update={"currency": "eur"})
    await insert(clickhouse_server.url, database, "metric_rows", [*facts(), *both])
    await insert(clickhouse_server.url, database, "profile_rows", everybody)
    failing = {"segment": "failing", "livemode": True, "email": "broke@example.com", "member": True, "sequence": 1}

    document = json.loads(FIXTURE.read_text("utf-8"))
    names = replace(names_in(document), currency="eur", timezone="Europe/Berlin")
    found = next(each for each in import_segments(document, names) if each.name == segment)
    query = compile_members(parse(as_yaml(found.content), segment), Clock(NOW, "Europe/Berlin"))
    client = clickhouse_connect.get_client(dsn=clickhouse_server.url, database=database, autogenerate_session_id=False)
    try:
        client.insert(
            "segment_member_rows",
            [[*failing.values(), NOW]],
            column_names=[*failing, "entered_at"],
        )
        rows = client.query(query.text, parameters=dict(query.parameters)).result_rows
    finally:
        client.close()
    assert sorted(email.partition("@")[0] for email, _ in rows) == members
