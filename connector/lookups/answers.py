"""How each kind of object is asked for, and what is published for an answer: also for 'there is none'."""

from urllib.parse import quote

from connector.errors import BadRequest, NotFound
from connector.invoices import EXPAND, with_all_lines
from connector.lookups.questions import Question
from connector.publish import Message, object_message
from connector.stripe_api import Json, StripeApi
from schemas.envelope import Source

_PATHS = {
    "customer": "customers",
    "charge": "charges",
    "invoice": "invoices",
    "invoice_payment": "invoice_payments",
    "refund": "refunds",
    "dispute": "disputes",
    "subscription": "subscriptions",
    "payment_method": "payment_methods",
}


async def ask(api: StripeApi, question: Question) -> tuple[Message, float]:
    """The answer as a message for `stripe.events`, and the moment from which on it holds.

    Raises what `connector.errors` names, but for an object that does not exist: that is an answer too.
    """
    if question.object not in _PATHS:
        raise BadRequest(f"nobody knows how to ask Stripe for an object of the kind {question.object!r}")
    path = f"/v1/{_PATHS[question.object]}/{quote(question.id, safe='')}"
    try:
        found, fetched_at = await api.fetch(path, {"expand": list(EXPAND)} if question.object == "invoice" else None)
    except NotFound:
        found, fetched_at = missing(question), api.now()
    else:
        found = await with_all_lines(api, found)
    # Stripe was asked after what happened at `begun` was known here, whatever the clocks and their seconds say.
    fetched_at = max(fetched_at, question.begun)
    message = object_message(question.account, question.livemode, found, Source.LOOKUP, fetched_at)
    return message, fetched_at


def missing(question: Question) -> Json:
    """Stripe has no such object: told like a deleted customer, whose answer is its id and `deleted`."""
    return {"id": question.id, "object": question.object, "missing": True}
