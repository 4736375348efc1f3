"""The topics as contracts for other services: a JSON Schema a message, and one AsyncAPI 3 document for all topics.

`.venv/bin/python -m schemas.contracts` writes them to docs/contracts/; with `docs/contracts/baseline` as its argument
it records what a release has promised. `breaking_changes` tells what would break readers of that release.

The published schemas are open (`additionalProperties` is not forbidden, although the models refuse unknown fields):
a later version may add an optional field, and readers should ignore what they don't know. For development only:
needs PyYAML.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from schemas import topics
from schemas.balance import BalanceTransaction, Payout
from schemas.dead_letter import DeadLetter
from schemas.definitions import Revision
from schemas.envelope import Envelope, EventHeaders
from schemas.messages import Message, Suppression
from schemas.metrics import MetricEvent
from schemas.mrr import MrrMovement
from schemas.profile import Profile
from schemas.segments import SegmentChange

VERSION = "2.0.0"  # of the contracts: minor for a new optional field or topic, major for a breaking change
DIRECTORY = Path(__file__).parent.parent / "docs" / "contracts"
FILES: dict[str, type[BaseModel]] = {
    "event_headers.schema.json": EventHeaders,
    "envelope.schema.json": Envelope,
    "metric_event.schema.json": MetricEvent,
    "profile.schema.json": Profile,
    "dead_letter.schema.json": DeadLetter,
    "segment_change.schema.json": SegmentChange,
    "message.schema.json": Message,
    "suppression.schema.json": Suppression,
    "balance_transaction.schema.json": BalanceTransaction,
    "payout.schema.json": Payout,
    "definition.schema.json": Revision,
    "mrr_movement.schema.json": MrrMovement,
}
ASYNCAPI = "asyncapi.yaml"
#: Between Tillstream's own parts: no promise is made about them.
_OWN = (
    topics.LOOKUPS,
    topics.JOBS,
    topics.CONNECTOR_STATE,
    topics.LEDGER_TRANSFERS,
    topics.LEDGER_PEOPLE,
    topics.ENGAGE_PEOPLE,
    topics.ERASURES,
    topics.TALLIES,
)
INTERNAL = frozenset(topic.name for topic in _OWN)

_DRAFT_07 = "http://json-schema.org/draft-07/schema#"  # what AsyncAPI tools and schema registries all read
_ANNOTATIONS = frozenset({"title", "description", "examples", "$schema", "definitions"})

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Channel:
    """What stands on a topic that outsiders may read.

    `headers`: what is known of a value that is Stripe's own JSON; then `model` is what older messages are.
    """

    topic: topics.Topic
    model: type[BaseModel]
    key: str
    about: str
    metric: str = ""
    headers: type[BaseModel] | None = None

    @property
    def message(self) -> str:
        """The name of the message that is sent today."""
        return self.model.__name__ if self.headers is None else "StripeEvent"


def channels() -> list[Channel]:
    """Every topic of `schemas.topics.ALL` that is not internal, in its order. Raises KeyError for one without words."""
    known = [
        Channel(
            topics.STRIPE_EVENTS,
            Envelope,
            "The customer's id, else the charge's or the object's own",
            "Every fact as it came in: Stripe's body byte for byte, and in headers how it reached us (CloudEvents 1.0, "
            "binary mode). A message without the header `ce_id` is an older one, whose value is an Envelope.",
            headers=EventHeaders,
        ),
        *(
            Channel(
                topic,
                MetricEvent,
                "The metric_id",
                f"{metric.value}: one message a version of a fact. Keep the highest version of a metric_id; "
                "`withdrawn` takes the row back.",
                metric.value,
            )
            for metric, topic in topics.METRICS.items()
        ),
        Channel(
            topics.PROFILES,
            Profile,
            "The email; for test mode `test:` and the email",
            "People, compacted: keep the highest version of an email.",
        ),
        Channel(
            topics.UNLINKED,
            MetricEvent,
            "The metric_id",
            "Rows without an email, and why. The same message is on the metric's own topic.",
        ),
        Channel(
            topics.DEAD_LETTERS,
            DeadLetter,
            "The account and the event's id, one after the other",
            "What could not be understood, whole, with the reason and where it came from.",
        ),
        Channel(
            topics.SEGMENTS_CHANGES,
            SegmentChange,
            "The email; for test mode `test:` and the email",
            "Who entered or left which segment. Ignore a change_id that you have had already.",
        ),
        Channel(
            topics.MESSAGES,
            Message,
            "The email; for test mode `test:` and the email",
            "What flows sent, or did not, and why: one message a state. Keep the highest version of a message_id.",
        ),
        Channel(
            topics.SUPPRESSIONS,
            Suppression,
            "The email; for test mode `test:` and the email",
            "Who must not be sent mail, compacted: the newest value of a person.",
        ),
        Channel(
            topics.BALANCE_TRANSACTIONS,
            BalanceTransaction,
            "Stripe's id of the balance transaction",
            "What came into and went out of the balance, by Stripe's own account. Keep the highest version of a "
            "transaction_id.",
        ),
        Channel(
            topics.PAYOUTS,
            Payout,
            "Stripe's id of the payout",
            "Payouts to the bank. Keep the highest version of a payout_id.",
        ),
        Channel(
            topics.DEFINITIONS,
            Revision,
            "KIND/NAME/ID: the kind, the definition's name and the revision's id",
            "Segments, flows, mail templates and the brand: one message a revision, compacted, and none is ever "
            "written over. All of one definition are on one partition. A revision follows its parent; of several "
            "that follow the same one, the first is taken. The newest that was taken is what runs.",
        ),
        Channel(
            topics.MRR_MOVEMENTS,
            MrrMovement,
            "The customer's id",
            "Changes of what subscriptions come to a month. Keep the highest version of a movement_id.",
        ),
    ]
    by_name = {channel.topic.name: channel for channel in known}
    return [by_name[topic.name] for topic in topics.ALL if topic.name not in INTERNAL]


def json_schema(model: type[BaseModel]) -> Schema:
    """The draft-07 schema of a message, as its readers may rely on it."""
    schema = model.model_json_schema(ref_template="#/definitions/{model}")
    definitions = schema.pop("$defs", {})
    schema = {"$schema": _DRAFT_07, **schema}
    opened: Schema = _opened(schema | ({"definitions": definitions} if definitions else {}))
    return opened


def asyncapi() -> Schema:
    """The AsyncAPI 3 document: channels, keys, messages, and Kafka's settings in the bindings."""
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, "validation") for model in FILES.values()]
    _, defined = models_json_schema(models, ref_template="#/components/schemas/{model}")
    told = channels()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tillstream",
            "version": VERSION,
            "description": "Metric rows, profiles and raw events that Tillstream makes of a Stripe account. Topic "
            "names are without the prefix that an installation may put in front of all of them "
            "(TILLSTREAM_TOPIC_PREFIX). Values are JSON in UTF-8, keys are UTF-8 text. Ignore fields that you don't "
            "know: later versions add some.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {_name(channel): _channel(channel) for channel in told},
        "operations": {
            f"send_{_name(channel)}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{_name(channel)}"},
                "messages": [{"$ref": f"#/channels/{_name(channel)}/messages/{channel.message}"}],
            }
            for channel in told
        },
        "components": {"schemas": _opened(defined["$defs"])},
    }


def documents() -> dict[str, str]:
    """File name to text of all that is published."""
    texts = {name: json.dumps(json_schema(model), indent=2) + "\n" for name, model in FILES.items()}
    head = "# Made by `python -m schemas.contracts` from schemas/: change it there.\n"
    return texts | {ASYNCAPI: head + yaml.safe_dump(asyncapi(), sort_keys=False, allow_unicode=True, width=110)}


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """What of `new` (a schema as `json_schema` makes it) breaks those who rely on `old`, each as `path: what`.

    Allowed are new optional fields, new values of an enumeration, and other words in titles and descriptions.
    """
    return _compare(old, new, old, new, "")


def lost_channels(old: Schema, new: Schema) -> list[str]:
    """Topics of the AsyncAPI document `old` that `new` has no more, or whose key or message is another."""

    def promises(document: Schema) -> dict[str, Any]:
        return {
            channel["address"]: {
                name: (message.get("headers"), message["payload"]) for name, message in channel["messages"].items()
            }
            for channel in document["channels"].values()
        }

    before, after = promises(old), promises(new)
    return [f"{address}: the topic is gone" for address in before if address not in after] + [
        f"{address}: its message is another"
        for address in before
        if before[address] != after.get(address, before[address])
    ]


def _name(channel: Channel) -> str:
    return channel.topic.name.replace(".", "_")


def _channel(channel: Channel) -> Schema:
    payload: Schema = {"$ref": f"#/components/schemas/{channel.model.__name__}"}
    if channel.metric:
        payload = {"allOf": [payload, {"type": "object", "properties": {"metric": {"const": channel.metric}}}]}
    contents: dict[str, Schema] = {channel.model.__name__: {"payload": payload}}
    if channel.headers is not None:
        headers = {"$ref": f"#/components/schemas/{channel.headers.__name__}"}
        contents = {channel.message: {"headers": headers, "payload": {"type": "object"}}, **contents}
    config = channel.topic.config
    settings: Schema = {"cleanup.policy": [config["cleanup.policy"]]}
    numbers = ("retention.ms", "delete.retention.ms", "max.message.bytes")  # the binding knows no others
    settings |= {name: int(config[name]) for name in numbers if name in config}
    return {
        "address": channel.topic.name,
        "description": channel.about,
        "messages": {
            name: {
                "name": name,
                "contentType": "application/json",
                **content,
                "bindings": {
                    "kafka": {"key": {"type": "string", "description": channel.key}, "bindingVersion": "0.5.0"}
                },
            }
            for name, content in contents.items()
        },
        "bindings": {
            "kafka": {
                "topic": channel.topic.name,
                "partitions": topics.PARTITIONS,
                "topicConfiguration": settings,
                "bindingVersion": "0.5.0",
            }
        },
    }


def _opened(schema: Any) -> Any:
    """Without `additionalProperties: false`, at any depth."""
    if isinstance(schema, list):
        return [_opened(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: _opened(value) for name, value in schema.items() if name != "additionalProperties" or value is not False
    }


def _resolved(schema: Schema, root: Schema) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    rest = {name: value for name, value in schema.items() if name != "$ref"}
    target: Schema = root["definitions"][reference.rpartition("/")[2]]
    return target | rest


def _compare(old: Any, new: Any, old_root: Schema, new_root: Schema, path: str) -> list[str]:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return [] if old == new else [f"{path}: {old!r} is {new!r} now"]
    old, new = _resolved(old, old_root), _resolved(new, new_root)
    broken: list[str] = []
    fields, now = old.get("properties", {}), new.get("properties", {})
    for name in fields:
        at = f"{path}.{name}".lstrip(".")
        if name not in now:
            broken.append(f"{at}: the field is gone")
            continue
        broken += _compare(fields[name], now[name], old_root, new_root, at)
    must, must_now = set(old.get("required", ())), set(new.get("required", ()))
    broken += [
        f"{path}.{name}".lstrip(".") + ": required, although it may be missing" for name in sorted(must_now - must)
    ]
    broken += [
        f"{path}.{name}".lstrip(".") + ": may be missing, although it never was"
        for name in sorted((must - must_now) & set(now))
    ]
    if gone := [value for value in old.get("enum", ()) if value not in new.get("enum", ())]:
        broken.append(f"{path}: no longer one of {gone}")
    elif "enum" in new and "enum" not in old:
        broken.append(f"{path}: only {new['enum']} now")
    for keyword in sorted((old.keys() | new.keys()) - _ANNOTATIONS - {"properties", "required", "enum"}):
        broken += _compare_keyword(keyword, old.get(keyword), new.get(keyword), old_root, new_root, path)
    return broken


def _compare_keyword(keyword: str, old: Any, new: Any, old_root: Schema, new_root: Schema, path: str) -> list[str]:
    if keyword == "items" and isinstance(old, dict) and isinstance(new, dict):
        return _compare(old, new, old_root, new_root, f"{path}[]")
    if keyword == "anyOf" and isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = zip(old, new, strict=True)
        return [line for before, after in pairs for line in _compare(before, after, old_root, new_root, path)]
    return [] if old == new else [f"{path}: {keyword} was {old!r} and is {new!r}"]


def main() -> None:
    """Write the documents to the directory that the command line names, else to docs/contracts."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else DIRECTORY
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in documents().items():
        (directory / name).write_text(content, "utf-8")


if __name__ == "__main__":
    main()
