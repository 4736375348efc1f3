"""`metrics`, `feed` and `profile` over the real engine: the console's numbers, as a person reads them in a terminal."""

import json
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from schemas.errors import ConfigurationError
from schemas.metrics import Metric
from tests.integration.segments_support import Shop, paid, shop
from tests.integration.sinks_support import fact
from tests.shapes import differences
from tillstream.__main__ import app

__all__ = ["shop"]

MARCH = ("--from", "2026-03-01", "--to", "2026-03-03")


@pytest.fixture
async def sold(shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shop:
    """Three payments and a refund in the first days of March, and people of every kind of name."""
    late = "2026-03-01T23:30:00.000Z"  # in Berlin it is the next day
    await shop.told(
        paid("zoë@example.com", "p1", occurred_at="2026-03-01T10:00:00.000Z", amount_minor=123456),
        paid("東京@example.com", "p2", occurred_at=late, amount_minor=5000, currency="jpy", charge_id="ch_2"),
        paid("zoë@example.com", "p3", occurred_at="2026-03-03T10:00:00.000Z", amount_minor=100, charge_id="ch_3"),
        fact("r1", Metric.REFUNDED_PAYMENT, email="", occurred_at=late, amount_minor=100, charge_id="ch_4"),
        paid("=cmd@example.com", "t1", livemode=False, occurred_at=late),
    )
    told = {"email": "zoë@example.com", "livemode": True, "version": 2, "name": "Zoë 東京\x1b[2J", "updated_at": late}
    told |= {"first_seen": late, "last_seen": late, "properties": {"plan": "pro [bold]"}}
    await shop.sink.insert("profile_rows", orjson.dumps(told))
    for name, value in {
        "CLICKHOUSE_URL": shop.url,
        "CLICKHOUSE_DATABASE": shop.database,
        "TILLSTREAM_DATA": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    return shop


def shown(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    assert "--json" not in arguments or not differences(arguments, done.stdout), differences(arguments, done.stdout)
    return str(done.stdout)


def test_one_metric_is_a_chart_with_its_numbers_below(sold: Shop) -> None:
    lines = [line.rstrip() for line in shown("metrics", "--metric", "Successfully Paid", *MARCH).splitlines()]
    unknown = "nothing is known from before 2026-03-01"  # so there is nothing to compare with
    assert lines[0] == f"Successfully Paid  3  2 people  1,235.56\u00a0USD  5,000\u00a0JPY  {unknown}"
    assert lines[1] == "2 ┤███"
    assert lines[-6].split() == ["day", "count", "people", "amount"]
    assert lines[-5].split()[4:] == ["████████████████", "2", "2", "1,234.56", "USD,", "5,000", "JPY"]
    assert lines[-4].split() == ["Mon", "2", "Mar", "2026", "0", "0"]
    assert lines[-3].split()[4:] == ["████████", "1", "1", "1.00", "USD"]
    assert lines[-1] == "live mode, 2026-03-01 to 2026-03-03, days in UTC"


def test_days_are_those_of_the_timezone_that_is_asked_for(sold: Shop) -> None:
    told = shown("metrics", "--metric", "successfully_paid", *MARCH, "--csv", "--timezone", "Europe/Berlin")
    assert told.splitlines() == [
        "metric,period,part,count,unique_profiles,currency,amount",
        "successfully_paid,2026-03-01,,1,1,usd,1234.56",
        "successfully_paid,2026-03-02,,1,1,jpy,5000",
        "successfully_paid,2026-03-03,,1,1,usd,1.00",
    ]


def test_every_metric_is_there_and_can_be_taken_apart_and_filtered(sold: Shop) -> None:
    whole = shown("metrics", *MARCH)
    assert [name for name in ("Successfully Paid", "Refunded Payment") if f"{name}  " in whole] == [
        "Successfully Paid",
        "Refunded Payment",
    ]
    assert "; no Failed Payment, Issued Invoice, Upcoming Invoice" in whole
    answers = json.loads(shown("metrics", *MARCH, "--by", "currency", "--where", "currency=usd", "--json"))
    found = {one["metric"]: [(part["part"], part["count"]) for part in one["parts"]] for one in answers}
    assert found["Successfully Paid"] == [("usd", 2)]
    assert found["Refunded Payment"] == [("usd", 1)]
    weeks = shown("metrics", "--metric", "refunded-payment", "--interval", "month", *MARCH, "--by", "source")
    assert "webhook" in weeks
    assert "Mar 2026" in weeks
    assert "nothing happened: test mode" in shown("metrics", "--from", "2020-01-01", "--to", "2020-01-02", "--test")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--metric", "lost_payment"), "there is no metric 'lost_payment'"),
        (("--from", "2026-02-30"), "--from: input should be a valid date"),
        (("--from", "2026-03-02", "--to", "2026-03-01"), "from is after to"),
        (("--by", "colour"), "--by: 'colour' is no property"),
        (("--where", "currency"), "--where currency has no value"),
        (("--timezone", "Europe/Berlim"), "did you mean Europe/Berlin?"),
        (("--interval", "hour", "--days", "90"), "at most 31 days at once by the hour"),
        (("--json", "--csv"), "are two answers"),
    ],
)
def test_what_cannot_be_asked_is_said(sold: Shop, arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        shown("metrics", *arguments)
    assert words in str(error.value)
    assert error.value.remedy


def test_the_feed_is_filtered_and_harmless_in_a_spreadsheet(sold: Shop) -> None:
    told = shown("feed", "--email", "ZOË@example.com ", "--metric", "successfully_paid")
    assert [line.split()[5:7] for line in told.splitlines()[1:]] == [["1.00", "USD"], ["1,234.56", "USD"]]
    assert "unlinked" in shown("feed", "--metric", "refunded_payment")
    (line,) = shown("feed", "--test", "--csv").splitlines()[1:]
    assert ",'=cmd@example.com," in line
    assert [row["metric_id"] for row in json.loads(shown("feed", "-n", "2", "--json"))] == ["p3", "r1"]


def test_a_person_is_shown_whole_and_cannot_steer_the_terminal(sold: Shop) -> None:
    told = shown("profile", " Zoë@Example.com")
    assert "Zoë 東京�[2J" in told
    assert "\x1b" not in told
    assert "plan=pro [bold]" in told
    assert told.count("Successfully Paid") == 2
    known = json.loads(shown("profile", "zoë@example.com", "--json", "-n", "1"))
    assert [row["metric_id"] for row in known["events"]] == ["p3"]
    assert json.loads(shown("profile", "nobody@example.com", "--json", code=1))["profile"] is None
