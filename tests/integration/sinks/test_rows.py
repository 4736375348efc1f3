"""What goes into Kafka is one row a fact in the views, whatever is repeated, reordered or wrong."""

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson
from clickhouse_connect.driver.client import Client

from schemas import topics
from schemas.dead_letter import DeadLetter, Stage
from schemas.envelope import Envelope, Source
from schemas.metrics import LineItem, Metric
from schemas.profile import Card, CurrencyValue, MetricSummary, Profile
from sinks.config import SinkConfig
from tests.conftest import eventually
from tests.integration.sinks_support import Publisher, config, fact, kafka, one, rows, running

__all__ = ["config", "kafka"]  # fixtures


async def until_it_is_there(clickhouse: Client, config: SinkConfig, metric_id: str) -> None:
    """And so is all that was told before, which came by the same partition."""
    query = f"SELECT 1 FROM {config.warehouse.database}.metrics WHERE metric_id = '{metric_id}'"
    await eventually(lambda: rows(clickhouse, query))


async def test_a_fact_becomes_a_row_with_exact_types(kafka: Publisher, config: SinkConfig, clickhouse: Client) -> None:
    async with running(config) as sink:
        await kafka.facts(fact(amount_minor=9_007_199_254_740_993, reason="", attempt_count=2))
        found = f"SELECT * FROM {config.warehouse.database}.metrics"
        await eventually(lambda: rows(clickhouse, found))
        await eventually(lambda: sink.ready() == "")  # its row can be read before its insert was answered
    row = next(iter(clickhouse.query(found).named_results()))
    assert row["metric"] == "Successfully Paid"
    assert row["occurred_at"] == datetime(2026, 1, 5, 10)
    assert row["livemode"] is True
    assert row["amount"] == Decimal("90071992547409.93")
    assert row["amount_minor"] == 9_007_199_254_740_993
    assert row["attempt_count"] == 2


async def test_repeats_and_old_versions_leave_the_newest_row_alone(
    kafka: Publisher, config: SinkConfig, clickhouse: Client
) -> None:
    newest = fact(version=3, email="new@example.com")
    async with running(config):
        for event in (fact(version=2, email=""), newest, fact(version=1, email="old@example.com"), newest, newest):
            await kafka.facts(event)
        await kafka.facts(fact("last"))
        await until_it_is_there(clickhouse, config, "last")
        await eventually(lambda: one(clickhouse, f"SELECT max(version) FROM {config.warehouse.database}.metrics") == 3)
    found = rows(clickhouse, f"SELECT email, version FROM {config.warehouse.database}.metrics WHERE metric_id = 'm1'")
    assert found == [("new@example.com", 3)]
    assert rows(clickhouse, f"SELECT metric_id FROM {config.warehouse.database}.unlinked") == []


async def test_a_withdrawn_fact_is_gone_before_and_after_the_engine_merges(
    kafka: Publisher, config: SinkConfig, clickhouse: Client
) -> None:
    async with running(config):
        await kafka.facts(fact("stays"), fact("goes"), fact("goes", version=2, withdrawn=True), fact("last"))
        await until_it_is_there(clickhouse, config, "last")
    ids = f"SELECT metric_id FROM {config.warehouse.database}.metrics ORDER BY metric_id"
    assert rows(clickhouse, ids) == [("last",), ("stays",)]
    clickhouse.command(f"OPTIMIZE TABLE {config.warehouse.database}.metric_rows FINAL")
    assert rows(clickhouse, ids) == [("last",), ("stays",)]
    assert one(clickhouse, f"SELECT sum(count) FROM {config.warehouse.database}.daily_metrics") == 2


async def test_a_fact_that_moves_to_another_month_is_one_row_there(
    kafka: Publisher, config: SinkConfig, clickhouse: Client
) -> None:
    moved = "2026-02-01T00:00:00.000Z"
    async with running(config):
        await kafka.facts(fact(occurred_at=moved, version=3), fact(version=2, withdrawn=True), fact(version=1))
        await kafka.facts(fact("last"))
        await until_it_is_there(clickhouse, config, "last")
    months = f"SELECT toString(occurred_at) FROM {config.warehouse.database}.metrics WHERE metric_id = 'm1'"
    assert rows(clickhouse, months) == [("2026-02-01 00:00:00.000",)]


async def test_metadata_and_properties_come_back_as_they_were(
    kafka: Publisher, config: SinkConfig, clickhouse: Client
) -> None:
    metadata = {
        "date": "2026-01-05T10:00:00+05:30",
        "day": "2026-01-05",
        "number": "007",
        "large": "123456789012345678901234567890",
        "a.b": "dots",
        "": "empty name",
        "ключ": "значение ✓ \"'\\ \n",
        "json": '{"a": [1, 2]}',
        "blank": "",
    }
    properties: dict[str, Any] = {
        "Reason": "2026-01-05",
        "Amount": "12.34",
        "AttemptCount": 2,
        "Large": 9_007_199_254_740_993,
        "paid": True,
        "metadata": {"charge": metadata, "customer": {}},
    }
    line = LineItem(line_id="il_1", position=0, currency="usd", amount="1.00", amount_minor=100, metadata=metadata)
    async with running(config):
        await kafka.facts(fact(metric=Metric.ISSUED_INVOICE, invoice_id="in_1", properties=properties, lines=[line]))
        # As JSON text, since a driver may read its own meaning into values.
        text = f"SELECT toJSONString(properties) FROM {config.warehouse.database}.metrics"
        await eventually(lambda: rows(clickhouse, text))
    assert orjson.loads(one(clickhouse, text)) == properties
    assert one(clickhouse, f"SELECT metadata['charge'] FROM {config.warehouse.database}.issued_invoice") == metadata
    assert one(clickhouse, f"SELECT metadata FROM {config.warehouse.database}.line_items") == metadata
    assert one(clickhouse, f"SELECT properties.Large FROM {config.warehouse.database}.metrics") == 9_007_199_254_740_993


async def test_an_invoice_has_the_lines_of_its_newest_version(
    kafka: Publisher, config: SinkConfig, clickhouse: Client
) -> None:
    def line(number: int, amount: int) -> LineItem:
        return LineItem(
            line_id=f"il_{number}",
            position=number,
            product_id="prod_1",
            quantity=2,
            currency="jpy",
            amount=str(amount),
            amount_minor=amount,
            period_start="2026-01-01T00:00:00.000Z",
        )

    invoice = {"metric": Metric.ISSUED_INVOICE, "invoice_id": "in_1", "properties": {"status": "paid"}}
    async with running(config):
        await kafka.facts(
            fact(version=2, lines=[line(0, 500)], **invoice),
            fact(version=1, lines=[line(0, 400), line(1, 100)], **invoice),
        )
        await eventually(lambda: rows(clickhouse, f"SELECT 1 FROM {config.warehouse.database}.line_items"))
    columns = "invoice_id, line_id, position, product_id, quantity, amount, amount_minor, email, period_end"
    assert rows(clickhouse, f"SELECT {columns} FROM {config.warehouse.database}.line_items") == [
        ("in_1", "il_0", 0, "prod_1", 2, Decimal(500), 500, "ada@example.com", None)
    ]
    assert rows(clickhouse, f"SELECT status, overdue, line_count FROM {config.warehouse.database}.issued_invoice") == [
        ("paid", False, 1)
    ]


async def test_a_credit_note_is_read_by_its_columns(kafka: Publisher, config: SinkConfig, clickhouse: Client) -> None:
    properties: dict[str, Any] = {"CreditNote": "cn_1", "CreditNoteType": "post_payment", "status": "void"}
    properties |= {"PostPaymentAmount": "12.34", "CustomerBalanceAmount": "2.34", "Tax": "1.00", "Refund": "re_1"}
    properties |= {"VoidedAt": "2026-01-06T10:00:00.000Z", "Memo": "2026-01-05"}
    async with running(config):
        await kafka.facts(fact(metric=Metric.CREDIT_NOTE, invoice_id="in_1", properties=properties))
        columns = "credit_note_id, type, status, post_payment_amount, refund_amount, customer_balance_amount, memo, "
        columns += "tax, refund_id, toString(voided_at), invoice_id"
        query = f"SELECT {columns} FROM {config.warehouse.database}.credit_note"
        await eventually(lambda: rows(clickhouse, query))
    money = (Decimal("12.34"), None, Decimal("2.34"), "2026-01-05", Decimal(1))
    assert rows(clickhouse, query) == [
        ("cn_1", "post_payment", "void", *money, "re_1", "2026-01-06 10:00:00.000", "in_1")
    ]


async def test_every_metric_has_a_view_of_its_name(kafka: Publisher, config: SinkConfig, clickhouse: Client) -> None:
    subscription = {"Subscription": "sub_1", "Quantity": 3, "Plan": "Berth", "TrialEnd": "2026-02-01T00:00:00.000Z"}
    dispute = {"Dispute": "du_1", "Inquiry": True, "Outcome": "won", "OutcomeAt": "2026-02-02T00:00:00.000Z"}
    async with running(config):
        await kafka.facts(*(fact(metric=one, metric_id=one.slug, properties=subscription | dispute) for one in Metric))
        views = [f"{config.warehouse.database}.{metric.slug}" for metric in Metric]
        await eventually(lambda: all(rows(clickhouse, f"SELECT metric_id FROM {view}") for view in views))
    for view, metric in zip(views, Metric, strict=True):
        assert rows(clickhouse, f"SELECT metric_id FROM {view}") == [(metric.slug,)]
    for name in ("subscription_started", "subscription_changed", "subscription_canceled", "trial_ending"):
        columns = "subscription_id, plan, quantity, toString(trial_end)"
        assert rows(clickhouse, f"SELECT {columns} FROM {config.warehouse.database}.{name}") == [
            ("sub_1", "Berth", 3, "2026-02-01 00:00:00.000")
        ]
    columns = "dispute_id, inquiry, outcome, toString(outcome_at)"
    assert rows(clickhouse, f"SELECT {columns} FROM {config.warehouse.database}.dispute") == [
        ("du_1", True, "won", "2026-02-02 00:00:00.000")
    ]


async def test_a_profile_is_one_row_a_person_and_mode(kafka: Publisher, config: SinkConfig, clickhouse: Client) -> None:
    def profile(**changes: Any) -> Profile:
        values: dict[str, Any] = {
            "email": "ada@example.com",
            "livemode": True,
            "customer_ids": ["cus_1", "cus_2"],
            "card_expirations": [
                Card(brand="visa", last4="4242", month=2, year=2028, seen_at="2026-01-05T10:00:00.000Z")
            ],
            "card_expiration_date": "2028-02-29",
            "first_seen": "2026-01-05T10:00:00.000Z",
            "last_seen": "2026-01-05T10:00:00.000Z",
            "metrics": [MetricSummary(metric="Failed Payment", count=3, first_at="2026-01-01", last_at="2026-01-02")],
            "value": [
                CurrencyValue(
                    currency="kwd",
                    paid_minor=1500,
                    refunded_minor=1,
                    lifetime_value_minor=1499,
                    lifetime_value="1.499",
                ),
                CurrencyValue(
                    currency="usd",
                    paid_minor=3 * 2**63,
                    refunded_minor=0,
                    lifetime_value_minor=3 * 2**63,
                    lifetime_value="276701161105643274.24",
                ),
            ],
            "deleted_customer_ids": ["cus_2"],
            "subscriptions": {"sub_1": "past_due"},
            "properties": {"plan": "2026-01-01", "a.b": "1"},
            "updated_at": "2026-01-05T10:00:00.000Z",
            "version": 1,
        }
        return Profile(**values | changes)

    async with running(config):
        newest = profile(version=2, name="Ada")
        await kafka.send(topics.PROFILES, [newest, profile(), newest, profile(livemode=False)])
        await eventually(lambda: one(clickhouse, f"SELECT count() FROM {config.warehouse.database}.profiles") == 2)
    query = f"SELECT * FROM {config.warehouse.database}.profiles WHERE livemode"
    row = next(iter(clickhouse.query(query).named_results()))
    assert row["name"] == "Ada"
    assert row["customer_ids"] == ["cus_1", "cus_2"]
    assert row["card_expiration_date"] == date(2028, 2, 29)
    assert row["card_expirations"][0]["last4"] == "4242"
    assert row["lifetime_value"] == {"kwd": Decimal("1.499"), "usd": Decimal("276701161105643274.24")}
    assert [value["paid_minor"] for value in row["value"]] == [1500, 3 * 2**63]  # sums may pass 64 bits
    assert (row["deleted_customer_ids"], row["subscriptions"]) == (["cus_2"], {"sub_1": "past_due"})
    assert row["failed_payment_count"] == 3
    assert row["successfully_paid_count"] == 0
    assert row["properties"] == {"plan": "2026-01-01", "a.b": "1"}


async def test_a_delivery_is_kept_once_with_its_body_byte_for_byte(
    kafka: Publisher, config: SinkConfig, clickhouse: Client
) -> None:
    body = '{\n  "id": "evt_1", "when": "2026-01-05T10:00:00+05:30", "é": "\\u00e9\\n", "n": 1.10 }'
    envelope = _envelope(body)
    letter = DeadLetter(
        stage=Stage.LEDGER,
        reason="no id",
        topic="stripe.events",
        partition=1,
        offset=2,
        failed_at="2026-01-05T10:00:02.000Z",
        payload=body,
    )
    async with running(config):
        await kafka.send(
            topics.STRIPE_EVENTS, [envelope, envelope, envelope.model_copy(update={"source": Source.REPLAY})]
        )
        await kafka.send(topics.DEAD_LETTERS, [letter, letter])
        await eventually(lambda: one(clickhouse, f"SELECT count() FROM {config.warehouse.database}.dead_letters") == 1)
        await eventually(lambda: one(clickhouse, f"SELECT count() FROM {config.warehouse.database}.stripe_events") == 2)
    assert rows(clickhouse, f"SELECT DISTINCT body FROM {config.warehouse.database}.stripe_events") == [(body,)]
    assert rows(clickhouse, f"SELECT stage, offset, payload FROM {config.warehouse.database}.dead_letters") == [
        ("ledger", 2, body)
    ]


async def test_a_row_that_clickhouse_refuses_is_a_dead_letter_and_the_rest_goes_in(
    kafka: Publisher, config: SinkConfig, clickhouse: Client
) -> None:
    wrong_time = fact("bad").model_dump_json().replace("2026-01-05T10:00:00.000Z", "yesterday").encode()
    bad = [b'{"cut off', b"{}", wrong_time, b'{"\xff": 1}', b""]
    good = [fact(f"good{number}") for number in range(50)]
    async with running(config):
        for position, event in enumerate(good):
            await kafka.facts(event)
            if position < len(bad):
                await kafka.send(topics.METRICS[event.metric], [bad[position]])
        await kafka.send(topics.PROFILES, [b"null"])
        await eventually(lambda: one(clickhouse, f"SELECT count() FROM {config.warehouse.database}.dead_letters") == 6)
        await eventually(lambda: one(clickhouse, f"SELECT count() FROM {config.warehouse.database}.metrics") == 50)
    assert one(clickhouse, f"SELECT count() FROM {config.warehouse.database}.metrics") == 50
    letters = rows(
        clickhouse, f"SELECT payload, payload_encoding, stage, path FROM {config.warehouse.database}.dead_letters"
    )
    assert ("eyL/IjogMX0=", "base64", "sink", "") in letters
    assert (wrong_time.decode(), "utf-8", "sink", "occurred_at") in letters
    assert one(clickhouse, f"SELECT count() FROM {config.warehouse.database}.metric_rows WHERE metric_id = ''") == 0
    reason = f"SELECT reason FROM {config.warehouse.database}.dead_letters WHERE payload = '{{}}'"
    assert "metric_id" in one(clickhouse, reason)


async def test_a_day_is_a_day_of_the_account_s_timezone_across_the_change_of_clocks(
    kafka: Publisher, config: SinkConfig, clickhouse: Client
) -> None:
    zones = {"ny": "America/New_York", "in": "Asia/Kolkata"}
    # New York's 8 March 2026 begins at 05:00Z and, an hour short, ends at 04:00Z.
    moments = {
        "2026-03-08T04:59:59.999Z": date(2026, 3, 7),
        "2026-03-08T05:00:00.000Z": date(2026, 3, 8),
        "2026-03-09T03:59:59.999Z": date(2026, 3, 8),
        "2026-03-09T04:00:00.000Z": date(2026, 3, 9),
        "2026-11-01T04:00:00.000Z": date(2026, 11, 1),
        "2026-11-02T04:59:59.999Z": date(2026, 11, 1),
        "2026-11-02T05:00:00.000Z": date(2026, 11, 2),
    }
    async with running(replace(config, timezones=zones)):
        await kafka.facts(*(fact(f"ny{at}", account="ny", occurred_at=at, email="x@y.z") for at in moments))
        await kafka.facts(fact("in", account="in", occurred_at="2026-03-08T18:30:00.000Z"))
        await kafka.facts(fact("utc", account="default", occurred_at="2026-03-08T23:59:59.999Z", email=""))
        await eventually(
            lambda: one(clickhouse, f"SELECT sum(count) FROM {config.warehouse.database}.daily_metrics") == 9
        )
    expected: dict[date, int] = {}
    for day in moments.values():
        expected[day] = expected.get(day, 0) + 1
    columns = "day, count, amount, amount_minor, unique_profiles"
    days = rows(
        clickhouse, f"SELECT {columns} FROM {config.warehouse.database}.daily_metrics WHERE account = 'ny' ORDER BY day"
    )
    assert days == [(day, n, Decimal("12.34") * n, 1234 * n, 1) for day, n in sorted(expected.items())]
    view = f"{config.warehouse.database}.daily_metrics"
    others = f"SELECT account, day, unique_profiles FROM {view} WHERE account != 'ny' ORDER BY 1"
    assert rows(clickhouse, others) == [("default", date(2026, 3, 8), 0), ("in", date(2026, 3, 9), 1)]


async def test_rows_that_are_watched_do_not_wait_for_raw_events(
    kafka: Publisher, config: SinkConfig, clickhouse: Client
) -> None:
    async with running(replace(config, batch_age=3)):  # raw events have thirty seconds
        await kafka.send(topics.STRIPE_EVENTS, [_envelope("{}")])
        await kafka.facts(fact())
        await eventually(lambda: one(clickhouse, f"SELECT count() FROM {config.warehouse.database}.metrics") == 1)
        assert one(clickhouse, f"SELECT count() FROM {config.warehouse.database}.stripe_events") == 0
    assert one(clickhouse, f"SELECT count() FROM {config.warehouse.database}.stripe_events") == 1


def _envelope(body: str) -> Envelope:
    return Envelope(
        event_id="evt_1",
        type="charge.succeeded",
        account="default",
        livemode=False,
        api_version="2020-03-02",
        source=Source.WEBHOOK,
        observed_at="2026-01-05T10:00:00.000Z",
        received_at="2026-01-05T10:00:01.000Z",
        body=body,
    )
