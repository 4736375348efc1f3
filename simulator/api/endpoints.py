"""`/v1/webhook_endpoints`: make, list, change and delete. The secret is told once, when an endpoint is made.

Source: Stripe's API reference, "Webhook Endpoints".
"""

from typing import Any

from aiohttp import web

from simulator.api.answers import ACCOUNT, KEY, answer
from simulator.api.forms import boolean, form
from simulator.api.query import short_page
from simulator.api.virtual import VirtualStripe
from simulator.delivery.endpoints import Endpoint, Endpoints
from simulator.errors import ApiError, missing

Json = dict[str, Any]
_PERMISSION = "webhook"
_CHANGEABLE = ("url", "enabled_events", "description", "disabled", "metadata", "expand")
_AT_CREATION = ("url", "enabled_events", "description", "metadata", "expand", "api_version", "connect")


def endpoint_json(endpoint: Endpoint, livemode: bool, *, secret: bool = False) -> Json:
    """The endpoint as v1 shows it."""
    body: Json = {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "api_version": endpoint.api_version,
        "application": None,
        "created": endpoint.created,
        "description": endpoint.description,
        "enabled_events": endpoint.enabled_events,
        "livemode": livemode,
        "metadata": endpoint.metadata,
        "status": endpoint.status,
        "url": endpoint.url,
    }
    return body | ({"secret": endpoint.secrets[0]} if secret else {})


def routes(stripe: VirtualStripe) -> list[web.RouteDef]:
    """The five methods."""
    path = "/v1/webhook_endpoints"

    def mine(request: web.Request, *, write: bool) -> Endpoints:
        account = request[ACCOUNT]
        stripe.keys.permit(request[KEY], _PERMISSION, write=write, account=account.id)
        return account.endpoints

    def named(request: web.Request, endpoints: Endpoints) -> Endpoint:
        endpoint = endpoints.get(request.match_info["id"])
        if endpoint.thin:
            raise missing("webhook endpoint", endpoint.id, "id")
        return endpoint

    async def listing(request: web.Request) -> web.Response:
        rows = mine(request, write=False).newest_first(thin=False)
        data = [endpoint_json(row, request[ACCOUNT].livemode) for row in rows]
        page, more = short_page(data, "webhook endpoint", request.query)
        return answer({"object": "list", "data": page, "has_more": more, "url": path})

    async def retrieve(request: web.Request) -> web.Response:
        return answer(endpoint_json(named(request, mine(request, write=False)), request[ACCOUNT].livemode))

    async def create(request: web.Request) -> web.Response:
        endpoints = mine(request, write=True)
        body = form((await request.post()).items(), _AT_CREATION)  # type: ignore[arg-type]
        if not body.get("url"):
            raise ApiError(400, "parameter_missing", "Missing required param: url.", "url")
        made = endpoints.add(
            body["url"],
            body.get("enabled_events", []),
            stripe.now(),
            api_version=body.get("api_version") or None,
            connect=boolean(body, "connect") or False,
            description=body.get("description") or None,
            metadata=body.get("metadata"),
        )
        return answer(endpoint_json(made, request[ACCOUNT].livemode, secret=True))

    async def change(request: web.Request) -> web.Response:
        endpoints = mine(request, write=True)
        endpoint = named(request, endpoints)
        body = form((await request.post()).items(), _CHANGEABLE)  # type: ignore[arg-type]
        endpoints.change(
            endpoint,
            stripe.now(),
            url=body.get("url"),
            enabled_events=body.get("enabled_events"),
            disabled=boolean(body, "disabled"),
            metadata=body.get("metadata") or {},
        )
        if "description" in body:
            endpoint.description = body["description"] or None
        return answer(endpoint_json(endpoint, request[ACCOUNT].livemode))

    async def delete(request: web.Request) -> web.Response:
        endpoints = mine(request, write=True)
        endpoint = named(request, endpoints)
        endpoints.remove(endpoint.id)
        return answer({"id": endpoint.id, "object": "webhook_endpoint", "deleted": True})

    return [
        web.get(path, listing),
        web.post(path, create),
        web.get(path + "/{id}", retrieve),
        web.post(path + "/{id}", change),
        web.delete(path + "/{id}", delete),
    ]
