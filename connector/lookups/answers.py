"""How each kind of object is asked for, and what is published for an answer: also for 'there is none'."""

from urllib.parse import quote

from connector.errors import BadRequest, NotFound
from connector.invoices import EXPAND, with_all_lines
from connector.lookups.questions import Question
from connector.publish import Message, event_message, object_message
from connector.stripe_api import Json, StripeApi
from connector.subscriptions import EXPAND as OF_SUBSCRIPTIONS
from connector.subscriptions import with_coupons
from schemas.envelope import Source
from schemas.times import unix_seconds

_PATHS = {
    "customer": "customers",
    "charge": "charges",
    "credit_note": "credit_notes",
    "invoice": "invoices",
    "invoice_payment": "invoice_payments",
    "refund": "refunds",
    "dispute": "disputes",
    "payment_intent": "payment_intents",
    "subscription": "subscriptions",
    "payment_method": "payment_methods",
}
_EXPAND = {"invoice": EXPAND, "subscription": OF_SUBSCRIPTIONS}
#: What is asked for by the id of a thin event.
_OF_THIN_EVENTS = ("event", "upcoming")


async def ask(api: StripeApi, question: Question) -> tuple[Message, float]:
    """The answer as a message for `stripe.events`, and the moment from which on it holds.

    Raises what `connector.errors` names, but for an object that does not exist: that is an answer too.
    """
    if question.object in _OF_THIN_EVENTS:
        return await _of_thin_event(api, question), max(api.now(), question.begun)
    if question.object not in _PATHS:
        raise BadRequest(f"nobody knows how to ask Stripe for an object of the kind {question.object!r}")
    path = f"/v1/{_PATHS[question.object]}/{quote(question.id, safe='')}"
    try:
        expand = _EXPAND.get(question.object)
        found, fetched_at = await api.fetch(path, {"expand": list(expand)} if expand else None)
    except NotFound:
        found, fetched_at = missing(question), api.now()
    else:
        found = await with_coupons(api, await with_all_lines(api, found))
    # Stripe was asked after what happened at `begun` was known here, whatever the clocks and their seconds say.
    fetched_at = max(fetched_at, question.begun)
    whose = (question.account, question.livemode)
    message = object_message(*whose, found, Source.LOOKUP, fetched_at, webhook_at=question.webhook_at)
    return message, fetched_at


async def _of_thin_event(api: StripeApi, question: Question) -> Message:
    """The snapshot event of the same change; an upcoming invoice that has none is previewed.

    Source: Stripe, "Events v2": `snapshot_event` and `data`; "Create a preview invoice". Events are kept for 30 days.
    """
    notice = await _found(api, f"/v2/core/events/{quote(question.id, safe='')}")
    snapshot = notice.get("snapshot_event")
    event = await _found(api, f"/v1/events/{quote(snapshot, safe='')}") if snapshot else {}
    if event:
        return event_message(
            question.account, question.livemode, event, Source.LOOKUP, question.id, question.webhook_at
        )
    data = notice.get("data") or {}
    whose = {name: data[name] for name in ("customer", "subscription") if data.get(name)}
    if question.object == "upcoming" and whose:
        try:
            preview = await api.post("/v1/invoices/create_preview", whose)
        except NotFound:
            pass  # nothing is to come any more
        else:
            at = unix_seconds(notice["created"])  # so that the fact has the event's own time
            told = (preview, Source.LOOKUP, at, "invoice.upcoming", question.id, question.webhook_at)
            return object_message(question.account, question.livemode, *told)
    return object_message(question.account, question.livemode, missing(question), Source.LOOKUP, api.now())


async def _found(api: StripeApi, path: str) -> Json:
    """The answer to GET `path`; {} when there is no such thing (any more)."""
    try:
        return await api.get(path)
    except NotFound:
        return {}


def missing(question: Question) -> Json:
    """Stripe has no such object: told like a deleted customer, whose answer is its id and `deleted`."""
    return {"id": question.id, "object": question.object, "missing": True}
