"""The topics are contracts: what is published is true of every message, and no release breaks its readers unnoticed."""

import copy
import json
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import orjson
import pytest
import yaml

from ingest.admission import admit
from processors.stages import LedgerStage
from schemas import contracts, topics
from schemas.dead_letter import DeadLetter
from schemas.envelope import EventHeaders, read_envelope
from schemas.metrics import MetricEvent
from schemas.profile import Profile
from simulator.rendering.objects import event_json
from simulator.rendering.shapes import VERSIONS
from simulator.world.history import World as Stripe
from tests.ledger_harness import World

BASELINE = contracts.DIRECTORY / "baseline"
START = 1_767_225_600


def validator(name: str) -> jsonschema.Draft7Validator:
    schema = json.loads((contracts.DIRECTORY / name).read_text("utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


@cache
def stripe() -> Stripe:
    return Stripe(seed=5, start=START, days=40, customers=12, extended=True)


@cache
def asyncapi() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((contracts.DIRECTORY / contracts.ASYNCAPI).read_text("utf-8"))
    return document


def test_the_published_files_are_what_the_models_say_today() -> None:
    for name, text in contracts.documents().items():
        assert (contracts.DIRECTORY / name).read_text("utf-8") == text, "run `.venv/bin/python -m schemas.contracts`"


def test_writing_them_again_writes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["contracts", str(tmp_path / "new")])
    contracts.main()
    assert {file.name: file.read_text("utf-8") for file in (tmp_path / "new").iterdir()} == contracts.documents()


@pytest.mark.parametrize("version", VERSIONS)
def test_every_row_that_the_ledger_tells_keeps_the_contract(version: str) -> None:
    """Every version of every row, withdrawals and unlinked ones too, not only what is left in the end."""
    world, check, seen = World(), validator("metric_event.schema.json"), set()
    for event in stripe().events:
        world.feed(event_json(event, version))
        world.checkpoint()
        for key, row in world.told.items():
            if (key, row["version"]) not in seen:
                seen.add((key, row["version"]))
                check.validate(row)
                MetricEvent.model_validate(row)  # which refuses fields that nobody was promised
    assert len(seen) > 100
    for key, profile in world.profiles().items():
        validator("profile.schema.json").validate(profile)
        Profile.model_validate(profile)
        assert key.endswith(profile["email"])
    assert world.profiles()


@pytest.mark.parametrize("version", VERSIONS)
def test_every_envelope_that_the_door_makes_keeps_the_contract(version: str) -> None:
    check = validator("event_headers.schema.json")
    bodies = [orjson.dumps(event_json(event, version)) for event in stripe().events[:60]]
    for body in [*bodies, b"{}", b'{"id": 7, "type": null, "created": "soon", "account": "acct_1"}']:
        _, value, headers = admit(body, "default", START)
        told = {name: text.decode() for name, text in headers}
        check.validate(told)
        EventHeaders.model_validate(told)
        assert len(headers) == len(told)
        assert value == body == read_envelope(value, headers).body.encode()


class Letters:
    """Stands where a checkpoint does, and keeps what is sent to it."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def store(self, partition: int) -> dict[bytes, bytes]:
        return {}

    def send(self, output: Any) -> None:
        self.sent.append(output)


@pytest.mark.parametrize(
    ("value", "headers", "stage"),
    [
        (*admit(b'{"id": "evt_1", "type": "charge.failed", "livemode": true}', "default", START)[1:], "ledger"),
        (b"{}", (("ce_id", b"\xff"), ("account", b"shop")), "envelope"),
        (b"no JSON", (), "envelope"),
        (b"\xff\x00", (), "envelope"),
        (b"", (), "envelope"),
        (b"[]", (), "envelope"),
    ],
)
def test_every_dead_letter_keeps_the_contract(value: bytes, headers: tuple[tuple[str, bytes], ...], stage: str) -> None:
    letters = Letters()
    message = SimpleNamespace(topic="stripe.events", partition=3, offset=42, key=None, value=value, headers=headers)
    LedgerStage("", "both").take(message, letters)  # type: ignore[arg-type]
    (output,) = letters.sent
    assert output.topic == topics.DEAD_LETTERS.name
    validator("dead_letter.schema.json").validate(orjson.loads(output.value))
    letter = DeadLetter.model_validate_json(output.value)
    assert (letter.stage, letter.topic, letter.partition, letter.offset) == (stage, "stripe.events", 3, 42)
    assert {name: text.encode() for name, text in letter.headers.items() if name != "ce_id"} == {
        name: text for name, text in headers if name != "ce_id"
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("metric_event.schema.json", {"metric": "Successfully Paid"}),
        ("profile.schema.json", {"email": "ann@example.com", "livemode": "yes"}),
        ("event_headers.schema.json", {"ce_id": 7}),
        ("envelope.schema.json", {"event_id": 7}),
        ("dead_letter.schema.json", {"stage": "nowhere"}),
    ],
)
def test_a_message_that_breaks_the_contract_is_told(name: str, message: dict[str, Any]) -> None:
    assert list(validator(name).iter_errors(message))


def test_a_message_with_a_field_from_a_later_version_is_still_readable() -> None:
    world = World()
    for event in stripe().events[:40]:
        world.feed(event_json(event, VERSIONS[-1]))
    world.settle()
    row = next(iter(world.rows().values()))
    validator("metric_event.schema.json").validate(row | {"from_a_later_version": 1})


# The AsyncAPI document.


def test_the_document_tells_every_topic_that_outsiders_may_read_and_no_other() -> None:
    told = [channel["address"] for channel in asyncapi()["channels"].values()]
    assert told == [topic.name for topic in topics.ALL if topic.name not in contracts.INTERNAL]
    between = {"lookups", "jobs", "connector.state", "ledger.transfers", "ledger.people", "engage.people"}
    internal = between | {"erasures", "tallies"}
    assert internal == contracts.INTERNAL


def test_the_document_has_the_structure_of_asyncapi_3() -> None:
    """The rules of the specification's own JSON schema that this document could break: fields, references, bindings."""
    document = asyncapi()
    assert document["asyncapi"] == "3.0.0"
    assert document.keys() <= {"asyncapi", "info", "defaultContentType", "channels", "operations", "components"}
    assert document["info"].keys() >= {"title", "version"}
    for name, channel in document["channels"].items():
        assert name.replace("_", "").isalnum()
        assert channel.keys() <= {"address", "description", "messages", "bindings"}
        for message in channel["messages"].values():
            assert message.keys() <= {"name", "contentType", "headers", "payload", "bindings"}
            kafka = message["bindings"]["kafka"]
            assert kafka.keys() == {"key", "bindingVersion"}
            assert kafka["key"]["type"] == "string"
            assert kafka["key"]["description"]
    for name, operation in document["operations"].items():
        assert operation.keys() == {"action", "channel", "messages"}
        assert operation["action"] in ("send", "receive")
        assert all(
            message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/") for message in operation["messages"]
        )
        assert name == "send_" + operation["channel"]["$ref"].rpartition("/")[2]
    references = list(every_reference(document))
    assert len(references) > 30
    for reference in references:
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft7Validator.check_schema(schema)


def every_reference(node: Any) -> Any:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from every_reference(value)
    elif isinstance(node, list):
        for value in node:
            yield from every_reference(value)


@pytest.mark.parametrize("topic", [t for t in topics.ALL if t.name not in contracts.INTERNAL], ids=lambda t: t.name)
def test_the_bindings_say_what_kafka_is_told(topic: topics.Topic) -> None:
    (channel,) = (c for c in asyncapi()["channels"].values() if c["address"] == topic.name)
    kafka = channel["bindings"]["kafka"]
    assert (kafka["topic"], kafka["partitions"]) == (topic.name, topics.PARTITIONS)
    told = kafka["topicConfiguration"]
    kept = {name: value for name, value in topic.config.items() if name != "max.compaction.lag.ms"}  # no such binding
    assert {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in told.items()} == kept


def test_each_metric_topic_carries_its_own_metric_alone() -> None:
    for metric, topic in topics.METRICS.items():
        (channel,) = (c for c in asyncapi()["channels"].values() if c["address"] == topic.name)
        _, only = channel["messages"]["MetricEvent"]["payload"]["allOf"]
        assert only["properties"]["metric"] == {"const": metric.value}


# Compatibility with what the last release promised.


@pytest.mark.parametrize("name", sorted(file.name for file in BASELINE.glob("*.schema.json")))
def test_nothing_breaks_the_readers_of_the_last_release(name: str) -> None:
    released = json.loads((BASELINE / name).read_text("utf-8"))
    assert contracts.breaking_changes(released, contracts.json_schema(contracts.FILES[name])) == []


def test_no_topic_of_the_last_release_is_lost() -> None:
    released = yaml.safe_load((BASELINE / contracts.ASYNCAPI).read_text("utf-8"))
    assert contracts.lost_channels(released, contracts.asyncapi()) == []


def released() -> dict[str, Any]:
    return contracts.json_schema(MetricEvent)


def changed(*path: str, **keywords: Any) -> dict[str, Any]:
    """The schema with `keywords` set at `path`; None takes one away."""
    schema = copy.deepcopy(released())
    place = schema
    for part in path:
        place = place[part]
    for name, value in keywords.items():
        if value is None:
            del place[name]
        else:
            place[name] = value
    return schema


def without(name: str, *path: str) -> dict[str, Any]:
    schema = copy.deepcopy(released())
    place = schema
    for part in path:
        place = place[part]
    del place["properties"][name]
    if name in place.get("required", ()):
        place["required"].remove(name)
    return schema


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (without("amount_minor"), ["amount_minor: the field is gone"]),
        (without("quantity", "definitions", "LineItem"), ["lines[].quantity: the field is gone"]),
        (changed("properties", "version", type="string"), ["version: type was 'integer' and is 'string'"]),
        (
            changed("definitions", "LineItem", "properties", "amount_minor", type="number"),
            ["lines[].amount_minor: type was 'integer' and is 'number'"],
        ),
        (
            changed(required=[*released()["required"], "charge_id"]),
            ["charge_id: required, although it may be missing"],
        ),
        (
            changed(required=[name for name in released()["required"] if name != "email"]),
            ["email: may be missing, although it never was"],
        ),
        (changed("definitions", "Metric", enum=["Successfully Paid"]), ["metric: no longer one of"]),
        (changed("properties", "email", enum=["a@b"]), ["email: only ['a@b'] now"]),
        (changed("properties", "withdrawn", default=True), ["withdrawn: default was False and is True"]),
        (changed("properties", "version", minimum=1), ["version: minimum was 0 and is 1"]),
        (
            changed(
                "definitions", "LineItem", "properties", "period_end", anyOf=[{"type": "integer"}, {"type": "null"}]
            ),
            ["lines[].period_end: type was 'string' and is 'integer'"],
        ),
        (
            changed("definitions", "LineItem", "properties", "period_end", anyOf=[{"type": "string"}]),
            ["lines[].period_end: anyOf was"],
        ),
    ],
)
def test_a_breaking_change_is_told_with_its_path(new: dict[str, Any], told: list[str]) -> None:
    found = contracts.breaking_changes(released(), new)
    assert len(found) == len(told)
    assert all(line.startswith(start) for line, start in zip(found, told, strict=True)), found


@pytest.mark.parametrize(
    "new",
    [
        released(),
        changed("properties", lifetime={"type": "integer", "default": 0}),
        changed("definitions", "Metric", enum=[*released()["definitions"]["Metric"]["enum"], "Canceled Subscription"]),
        changed("properties", "email", description="in other words"),
        changed(title="Another name"),
    ],
)
def test_what_readers_can_live_with_is_no_breaking_change(new: dict[str, Any]) -> None:
    assert contracts.breaking_changes(released(), new) == []


def test_a_topic_that_is_gone_or_carries_something_else_is_told() -> None:
    new = copy.deepcopy(contracts.asyncapi())
    del new["channels"]["profiles"]
    new["channels"]["unlinked"]["messages"]["MetricEvent"]["payload"] = {"$ref": "#/components/schemas/Profile"}
    assert contracts.lost_channels(contracts.asyncapi(), new) == [
        "profiles: the topic is gone",
        "unlinked: its message is another",
    ]
    assert contracts.lost_channels(new, contracts.asyncapi()) == ["unlinked: its message is another"]
