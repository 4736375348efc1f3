"""`/v2/core/event_destinations` and `/v2/core/events`: thin events and where they go.

Source: Stripe's API reference, "Event Destinations" and "Events v2"; bodies are JSON, lists page by `next_page_url`.
"""

from collections.abc import Sequence
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from simulator.api.answers import ACCOUNT, KEY, answer
from simulator.api.forms import json_body
from simulator.api.query import array, number
from simulator.api.virtual import VirtualStripe
from simulator.delivery.endpoints import Endpoint, Endpoints
from simulator.errors import ApiError, bad_value, missing
from simulator.rendering.thin import moment, ping_json

Json = dict[str, Any]
_PERMISSION = "webhook"
_PING_TIMEOUT = aiohttp.ClientTimeout(total=5.0)
_SECRET, _URL = "webhook_endpoint.signing_secret", "webhook_endpoint.url"
_AT_CREATION = (
    *("name", "type", "event_payload", "enabled_events", "webhook_endpoint", "description", "metadata"),
    *("include", "events_from", "snapshot_api_version"),
)
_CHANGEABLE = ("name", "description", "enabled_events", "include", "metadata", "webhook_endpoint")


def destination_json(endpoint: Endpoint, livemode: bool, include: Sequence[str] = (), *, made: bool = False) -> Json:
    """The destination as v2 shows it: url and (only when it was just `made`) secret as far as `include` names them."""
    shown: Json = {}
    if _URL in include:
        shown["url"] = endpoint.url
    if made and _SECRET in include:
        shown["signing_secret"] = endpoint.secrets[0]
    off = endpoint.status == "disabled"
    return {
        "id": endpoint.id,
        "object": "v2.core.event_destination",
        "created": moment(endpoint.created),
        "description": endpoint.description or "",
        "enabled_events": endpoint.enabled_events,
        "event_payload": "thin" if endpoint.thin else "snapshot",
        "events_from": ["@accounts" if endpoint.connect else "@self"],
        "livemode": livemode,
        "metadata": endpoint.metadata,
        "name": endpoint.name,
        "snapshot_api_version": endpoint.api_version,
        "status": endpoint.status,
        "status_details": {"disabled": {"reason": "user"}} if off else None,
        "type": "webhook_endpoint",
        "updated": moment(endpoint.updated),
        "webhook_endpoint": shown or None,
    }


def routes(stripe: VirtualStripe) -> list[web.RouteDef]:
    """Destinations: create, list, retrieve, update, delete, enable, disable, ping. Events: list, retrieve."""

    def mine(request: web.Request, *, write: bool) -> Endpoints:
        account = request[ACCOUNT]
        stripe.keys.permit(request[KEY], _PERMISSION, write=write, account=account.id)
        return account.endpoints

    async def listing(request: web.Request) -> web.Response:
        rows = mine(request, write=False).newest_first()
        start = number(request.query, "page", 0, 0, 2**30)
        limit = number(request.query, "limit", 20, 1, 100)
        include = array(request.query, "include")
        page = [destination_json(row, request[ACCOUNT].livemode, include) for row in rows[start : start + limit]]
        return answer(_v2_list(request, page, start, limit, len(rows)))

    async def create(request: web.Request) -> web.Response:
        endpoints = mine(request, write=True)
        body = json_body(await request.read(), _AT_CREATION)
        for name in ("name", "type", "event_payload", "enabled_events"):
            if not body.get(name):
                raise ApiError(400, "parameter_missing", f"Missing required param: {name}.", name)
        if body["type"] != "webhook_endpoint":
            raise bad_value("type", "The simulator delivers to webhook endpoints only.")
        thin = body["event_payload"] == "thin"
        if thin and body.get("snapshot_api_version"):
            raise bad_value("snapshot_api_version", "Thin events are not pinned to an API version.")
        made = endpoints.add(
            (body.get("webhook_endpoint") or {}).get("url", ""),
            body["enabled_events"],
            stripe.now(),
            api_version=body.get("snapshot_api_version"),
            thin=thin,
            connect="@accounts" in body.get("events_from", []),
            name=body["name"],
            description=body.get("description"),
            metadata=body.get("metadata"),
        )
        return answer(destination_json(made, request[ACCOUNT].livemode, body.get("include", []), made=True))

    async def retrieve(request: web.Request) -> web.Response:
        endpoint = mine(request, write=False).get(request.match_info["id"])
        return answer(destination_json(endpoint, request[ACCOUNT].livemode, array(request.query, "include")))

    async def change(request: web.Request) -> web.Response:
        endpoints = mine(request, write=True)
        endpoint = endpoints.get(request.match_info["id"])
        body = json_body(await request.read(), _CHANGEABLE)
        url = (body.get("webhook_endpoint") or {}).get("url")
        metadata = {key: value or "" for key, value in (body.get("metadata") or {}).items()}
        endpoints.change(endpoint, stripe.now(), url=url, enabled_events=body.get("enabled_events"), metadata=metadata)
        endpoint.name = body.get("name", endpoint.name)
        endpoint.description = body.get("description", endpoint.description)
        return answer(destination_json(endpoint, request[ACCOUNT].livemode, body.get("include", [])))

    async def delete(request: web.Request) -> web.Response:
        endpoints = mine(request, write=True)
        endpoints.remove(request.match_info["id"])
        return answer({"id": request.match_info["id"], "object": "v2.core.event_destination", "deleted": True})

    async def switch(request: web.Request) -> web.Response:
        endpoints = mine(request, write=True)
        endpoint = endpoints.get(request.match_info["id"])
        endpoints.change(endpoint, stripe.now(), disabled=request.path.endswith("/disable"))
        return answer(destination_json(endpoint, request[ACCOUNT].livemode))

    async def ping(request: web.Request) -> web.Response:
        endpoint = mine(request, write=True).get(request.match_info["id"])
        notice = ping_json(endpoint.id, stripe.now(), request[ACCOUNT].livemode)
        async with aiohttp.ClientSession(timeout=_PING_TIMEOUT) as session:
            await stripe.webhooks.send(session, endpoint, orjson.dumps(notice))
        return answer(notice)

    async def events(request: web.Request) -> web.Response:
        stripe.keys.permit(request[KEY], "event", write=False, account=request[ACCOUNT].id)
        body = stripe.thin[request[ACCOUNT].place].page(request.query)
        return answer(_v2_list(request, body.data, body.start, body.limit, body.total))

    async def event(request: web.Request) -> web.Response:
        stripe.keys.permit(request[KEY], "event", write=False, account=request[ACCOUNT].id)
        found = stripe.thin[request[ACCOUNT].place].find(request.match_info["id"])
        if found is None:
            raise missing("event", request.match_info["id"], "id")
        return answer(found)

    path = "/v2/core/event_destinations"
    return [
        web.get(path, listing),
        web.post(path, create),
        web.get(path + "/{id}", retrieve),
        web.post(path + "/{id}", change),
        web.delete(path + "/{id}", delete),
        web.post(path + "/{id}/enable", switch),
        web.post(path + "/{id}/disable", switch),
        web.post(path + "/{id}/ping", ping),
        web.get("/v2/core/events", events),
        web.get("/v2/core/events/{id}", event),
    ]


def _v2_list(request: web.Request, data: Sequence[Json], start: int, limit: int, total: int) -> Json:
    following = request.rel_url.update_query({"page": str(start + limit)})
    before = request.rel_url.update_query({"page": str(max(0, start - limit))})
    return {
        "data": list(data),
        "next_page_url": str(following) if start + limit < total else None,
        "previous_page_url": str(before) if start else None,
    }
