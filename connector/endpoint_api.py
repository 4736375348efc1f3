"""Webhook endpoints in Stripe: listed, made, changed and deleted by its API.

Snapshot endpoints are `/v1/webhook_endpoints`, thin ones `/v2/core/event_destinations`.
"""

import time
from typing import Any

from connector.endpoint import Delete, Endpoint, Update, Wish, from_v1, from_v2
from connector.stripe_api import StripeApi
from schemas.errors import Unavailable
from schemas.times import unix_seconds

DESCRIPTION = "Tillstream"
_MARK = {"made_by": "tillstream"}
_V1, _V2 = "/v1/webhook_endpoints", "/v2/core/event_destinations"
_URL, _SECRET = "webhook_endpoint.url", "webhook_endpoint.signing_secret"
_RETRIED_SECONDS = 3 * 24 * 60 * 60  # for how long Stripe delivers an event again (live mode)


async def endpoints(api: StripeApi, *, thin: bool) -> list[Endpoint]:
    """All of the account. Raises what `connector.errors` names."""
    if not thin:
        return [from_v1(body) async for page in api.pages(_V1) for body in page.objects]
    found: list[Endpoint] = []
    answer = await api.get(_V2, {"limit": 100, "include": [_URL]})
    while True:
        for body in answer.get("data") or []:
            if body.get("type") == "webhook_endpoint" and body.get("event_payload") == "thin":
                found.append(from_v2(body, unix_seconds(body["created"]) if body.get("created") else 0.0))
        if not answer.get("next_page_url"):
            return found
        answer = await api.get(answer["next_page_url"])


async def create(api: StripeApi, wish: Wish) -> tuple[str, str]:
    """Make it; gives (id, signing secret). Raises Unavailable when Stripe tells no secret."""
    if wish.thin:
        body = await api.post(
            _V2,
            {
                "name": DESCRIPTION,
                "type": "webhook_endpoint",
                "event_payload": "thin",
                "enabled_events": list(wish.types),
                "webhook_endpoint": {"url": wish.url},
                "metadata": _MARK,
                "include": [_SECRET],
            },
        )
        secret = (body.get("webhook_endpoint") or {}).get("signing_secret")
    else:
        body = await api.post(
            _V1,
            {
                "url": wish.url,
                "enabled_events": list(wish.types),
                "api_version": wish.api_version,
                "description": DESCRIPTION,
                "metadata": _MARK,
            },
        )
        secret = body.get("secret")
    if not secret:
        raise Unavailable(
            f"Stripe made the endpoint {body.get('id')} and told no signing secret",
            remedy=f"delete {body.get('id')} at https://dashboard.stripe.com/webhooks, then try again",
        )
    return str(body["id"]), str(secret)


async def update(api: StripeApi, step: Update) -> None:
    """Bring it to what is wished."""
    wish, path = step.wish, f"{_V2 if step.wish.thin else _V1}/{step.endpoint.id}"
    if not wish.thin:
        await api.post(path, {"url": wish.url, "enabled_events": list(step.types), "disabled": False})
        return
    await api.post(path, {"enabled_events": list(step.types), "webhook_endpoint": {"url": wish.url}})
    if not step.endpoint.enabled:
        await api.post(f"{path}/enable")


async def delete(api: StripeApi, step: Delete) -> None:
    """Take it away."""
    await api.delete(f"{_V2 if step.endpoint.thin else _V1}/{step.endpoint.id}")


async def undelivered(api: StripeApi) -> int:
    """How many events Stripe is still trying to deliver, counted up to 100; deleting an endpoint would end that."""
    since = int(time.time()) - _RETRIED_SECONDS
    asked: dict[str, Any] = {"delivery_success": "false", "created": {"gte": since}}
    return len((await api.page("/v1/events", asked)).objects)
