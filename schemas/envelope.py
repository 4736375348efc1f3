"""The one door's message: a raw Stripe body and what was known when it came in."""

from enum import StrEnum
from typing import Any

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
    """The value on `stripe.events`, as JSON; also the row of `tillstream.stripe_events`.

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
    body: str = Field(description="Stripe's body, byte for byte (it is UTF-8)")


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
    body: str,
    api_version: str = "",
) -> tuple[bytes, bytes]:
    """(key, value) of the message on `stripe.events`; `parsed` is what `body` holds, the rest as in `Envelope`.

    Without a check of each field, since the door makes one of every event.
    """
    value = {
        "event_id": event_id,
        "type": type,
        "account": account,
        "livemode": livemode,
        "api_version": api_version,
        "source": source.value,
        "observed_at": observed_at,
        "received_at": received_at,
        "body": body,
    }
    return message_key(parsed, event_id), orjson.dumps(value)
