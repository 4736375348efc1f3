"""The one door's message: a raw Stripe body and what was known when it came in.

On `stripe.events` the value is Stripe's body, byte for byte, and what is known of it stands in headers, as CloudEvents
has it for Kafka in binary mode. Until then the value was an `Envelope` as JSON, with the body as a text inside: such
messages are still read.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field

from schemas.routing import message_key


class Source(StrEnum):
    """How an observation reached us. Only `webhook` (and fresh `sweep`) facts may act on people."""

    WEBHOOK = "webhook"
    IMPORT = "import"
    SWEEP = "sweep"
    LOOKUP = "lookup"
    REPLAY = "replay"


#: The `type` of a fetched object whose rows are to be told once more, changed or not: what a comparison with Stripe
#: found missing may have been lost after it was told.
TELL_AGAIN = "tillstream.tell_again"

#: The type of the envelope by which a person has past rows told with a customer's present email. Its body is
#: `{"object": "tillstream.relink", "id": …, "customer": "cus_…"}`, its source `replay`.
RELINK = "tillstream.relink"

#: The type of the envelope by which a person has all rows of a customer told with an email of choice, since two
#: profiles are one person. Its body is `{"object": "tillstream.merge", "id": …, "customer": "cus_…", "email": …}`, its
#: source `replay`; an empty email takes it back.
MERGE = "tillstream.merge"


class Envelope(BaseModel):
    """What is known of a message on `stripe.events`, and the row of `tillstream.stripe_events`.

    Older messages are this as JSON, without headers; today's is of `EventHeaders` and the body.
    The key is the customer id, else the charge's or object's own id: see `schemas.routing`.
    """

    model_config = ConfigDict(extra="forbid")

    event_id: str
    type: str = Field(description="Stripe's event type, such as charge.succeeded; '' when the body names none")
    account: str = Field(description="The configured account's name, or an `acct_…` id that isn't configured")
    livemode: bool
    api_version: str = ""
    source: Source
    observed_at: str = Field(description="RFC 3339: when Stripe made the event, or when the object was fetched")
    received_at: str = Field(description="RFC 3339: when it entered through the door")
    webhook_at: str = Field(
        default="",
        description="RFC 3339: of what a webhook's thin event had looked up, when that webhook came in; else empty",
    )
    body: str = Field(description="Stripe's body, byte for byte (it is UTF-8)")


#: `ce_type` of what names no type, such as a fetched object: CloudEvents wants one that is not empty.
NO_TYPE = "stripe.object"


class EventHeaders(BaseModel):
    """The headers of a message on `stripe.events`, each UTF-8 text; the value is Stripe's body, byte for byte.

    Those of CloudEvents 1.0 (Kafka, binary mode), and what else is known. A message without `ce_id` is an older one,
    whose value is an Envelope.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    content_type: str = Field("application/json", alias="content-type")
    ce_specversion: str = "1.0"
    ce_id: str = Field(description="Stripe's event id; of a fetched object its id and when that was, joined by `@`")
    ce_source: str = Field(description="`/stripe/` and the account; an id is of one event within it")
    ce_type: str = Field(
        description=f"Stripe's event type, such as charge.succeeded; `{NO_TYPE}` when the body names none"
    )
    ce_time: str = Field(description="RFC 3339: when Stripe made the event, or when the object was fetched")
    account: str = Field(description="The configured account's name, or an `acct_…` id that isn't configured")
    livemode: str = Field(description="`true` or `false`")
    source: Source
    api_version: str = Field("", description="Of the body's shape; empty when nobody knows")
    received_at: str = Field(description="RFC 3339: when it entered through the door")
    webhook_at: str = Field(
        "", description="RFC 3339: of what a webhook's thin event had looked up, when that webhook came in"
    )


class EventMessage(NamedTuple):
    """What goes to `stripe.events`."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


_SAME = (("content-type", b"application/json"), ("ce_specversion", b"1.0"))


def envelope_message(
    parsed: Any,
    *,
    event_id: str,
    type: str,
    account: str,
    livemode: bool,
    source: Source,
    observed_at: str,
    received_at: str,
    body: bytes,
    api_version: str = "",
    webhook_at: str = "",
) -> EventMessage:
    """The message on `stripe.events`; `parsed` is what `body` holds, the rest as in `Envelope`.

    Without a check of each field, since the door makes one of every event.
    """
    whose = account.encode()
    headers: tuple[tuple[str, bytes], ...] = (
        *_SAME,
        ("ce_id", event_id.encode()),
        ("ce_source", b"/stripe/" + whose),
        ("ce_type", (type or NO_TYPE).encode()),
        ("ce_time", observed_at.encode()),
        ("account", whose),
        ("livemode", b"true" if livemode else b"false"),
        ("source", source.value.encode()),
        ("api_version", api_version.encode()),
        ("received_at", received_at.encode()),
    )
    if webhook_at:
        headers = (*headers, ("webhook_at", webhook_at.encode()))
    return EventMessage(message_key(parsed, event_id), body, headers)


def envelope_fields(value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> Any:
    """What `Envelope` has of a message on `stripe.events`, unchecked; the body is bytes, in an older message text.

    Raises ValueError or LookupError for headers that make no sense, and for a value without any that is no JSON.
    """
    told = dict(headers)
    if "ce_id" not in told:
        return orjson.loads(value or b"")
    kind, livemode = told["ce_type"].decode(), told["livemode"]
    if livemode not in (b"true", b"false"):
        raise ValueError("livemode is neither true nor false")
    return {
        "event_id": told["ce_id"].decode(),
        "type": "" if kind == NO_TYPE else kind,
        "account": told["account"].decode(),
        "livemode": livemode == b"true",
        "api_version": told["api_version"].decode(),
        "source": told["source"].decode(),
        "observed_at": told["ce_time"].decode(),
        "received_at": told["received_at"].decode(),
        "body": value or b"",
    } | ({"webhook_at": told["webhook_at"].decode()} if "webhook_at" in told else {})


def read_envelope(value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> Envelope:
    """The envelope of a message on `stripe.events`. Raises ValueError when it has none that makes sense."""
    try:
        return Envelope.model_validate(envelope_fields(value, headers))
    except LookupError as error:
        raise ValueError(f"the header {error} is missing") from error
