"""One account's Stripe API: a bounded pace, retries that end, errors by name, and Stripe's own JSON.

The official library makes the requests (authentication, versions, encoding); what to do about an answer is decided
here, since each retry has to keep the pace.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import uuid4

import aiohttp
import orjson
import stripe
from multidict import CIMultiDict

from connector.errors import (
    BadAnswer,
    BadRequest,
    EndlessList,
    KeyRevoked,
    NotFound,
    PermissionMissing,
    RateLimited,
    StripeDown,
)
from connector.pace import LIVE, TEST, Pace, Priority, Turns
from schemas.errors import ConfigurationError, TillstreamError, in_words

Json = dict[str, Any]

API_VERSION = "2026-10-28.endive"  # pinned: what stripe-python 16.1 was made for
STRIPE = "https://api.stripe.com"
PAGE = 100  # objects: the most that Stripe gives at once
_TIMEOUT = aiohttp.ClientTimeout(total=80, sock_connect=10)
_BODY = "tillstream-body"
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0  # seconds between attempts: doubles, with jitter
_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class StripeAccess:
    """How to reach one account. `account` is its configured name; `connected` an `acct_…` that acts through its key.

    `rate` is requests a second, 0 for what suits the key's mode, and `share` what is taken of it; `patience` how many
    seconds one request is tried anew while Stripe is away or refuses for too many requests.
    """

    account: str
    api_key: str = field(repr=False)
    base: str = STRIPE
    connected: str = ""
    rate: float = 0.0
    patience: float = 60.0
    share: float = 1.0

    @property
    def livemode(self) -> bool:
        """Whether the key is a live one. Raises ConfigurationError when it is no API key."""
        kind, _, rest = self.api_key.partition("_")
        mode = rest.partition("_")[0]
        if kind not in ("sk", "rk") or mode not in ("live", "test"):
            raise ConfigurationError(
                f"the API key of account {self.account} is no secret or restricted key of Stripe's",
                remedy="use one that begins with sk_live_, rk_live_, sk_test_ or rk_test_",
            )
        return mode == "live"


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list, newest first. `fetched_at` is Stripe's clock when it was asked for, in Unix seconds.

    So it is no later than the state that the objects show: an event of a change after it always wins.
    """

    objects: list[Json]
    has_more: bool
    fetched_at: float


class StripeApi:
    """The client; close it with `aclose`, or use it as an async context. `turns` are shared with whom else asks."""

    def __init__(self, access: StripeAccess, turns: Turns | None = None, priority: Priority = Priority.LOOKUP) -> None:
        self.access = access
        self.account = access.account
        self.livemode = access.livemode
        self.turns = turns or Turns(Pace((access.rate or (LIVE if self.livemode else TEST)) * access.share))
        self._priority = priority
        self.waiting = ""  # why requests wait just now, '' when they don't
        self._ahead = 0.0  # seconds that Stripe's clock is ahead of the one here
        self._http: _RawClient | None = None
        self._client: stripe.StripeClient | None = None

    async def __aenter__(self) -> "StripeApi":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close_async()  # type: ignore[no-untyped-call]  # stripe has no types there
            self._http = self._client = None

    def now(self) -> float:
        """Unix seconds by Stripe's clock, as its last answer told it."""
        return time.time() + self._ahead

    async def get(self, path: str, params: Mapping[str, Any] | None = None) -> Json:
        """The answer to GET `path`, such as `/v1/customers/cus_1`. Raises what `connector.errors` names."""
        return (await self.fetch(path, params))[0]

    async def fetch(self, path: str, params: Mapping[str, Any] | None = None) -> tuple[Json, float]:
        """The same, and when it was asked for by Stripe's clock (see `Page`)."""
        return await self._ask("get", path, dict(params or {}))

    async def post(self, path: str, params: Mapping[str, Any] | None = None) -> Json:
        """The answer to POST; retries carry one idempotency key, so that nothing is made twice."""
        return (await self._ask("post", path, {**(params or {}), "idempotency_key": str(uuid4())}))[0]

    async def delete(self, path: str) -> Json:
        """The answer to DELETE."""
        return (await self._ask("delete", path, {}))[0]

    async def page(self, path: str, params: Mapping[str, Any] | None = None) -> Page:
        """One page of a list. Raises BadAnswer for an object that has no id: it can neither be told nor left behind."""
        body, fetched_at = await self.fetch(path, {"limit": PAGE, **(params or {})})
        objects = body.get("data") or []
        if not all(isinstance(one, dict) and isinstance(one.get("id"), str) and one["id"] for one in objects):
            raise BadAnswer(
                f"Stripe's list {path} gives an object without an id",
                remedy="ask Stripe's support; what was read before is kept, and the same command goes on from there",
            )
        return Page(objects, bool(body.get("has_more")), fetched_at)

    async def pages(self, path: str, params: Mapping[str, Any] | None = None) -> AsyncIterator[Page]:
        """Every page of a list, newest first; see `turn_over` for lists that misbehave."""
        asked = dict(params or {})
        page = await self.page(path, asked)
        while True:
            yield page
            if not page.has_more or not page.objects:
                return
            page, asked = await turn_over(self, path, asked, page.objects)

    async def _ask(self, method: str, path: str, params: Json) -> tuple[Json, float]:
        """Ask until there is an answer, or patience ends."""
        began, attempt = time.monotonic(), 0
        while True:
            await self.turns.turn(self._priority)
            try:
                answer = await self._once(method, path, params)
            except (RateLimited, StripeDown) as error:
                attempt += 1
                left = self.access.patience - (time.monotonic() - began)
                if left <= 0:
                    raise
                self.waiting = str(error)
                if isinstance(error, StripeDown):
                    wait = min(_FIRST_WAIT * 2 ** min(attempt - 1, 10), _LONGEST_WAIT)
                    await asyncio.sleep(min(wait * random.uniform(0.5, 1), max(left, 0.1)))
            else:
                self.waiting = ""
                self.turns.accepted()
                return answer

    async def _once(self, method: str, path: str, params: Json) -> tuple[Json, float]:
        began = time.time()
        connected = "stripe_context" if path.startswith("/v2/") else "stripe_account"
        options = {connected: self.access.connected} if self.access.connected else {}
        try:
            answer = await self._stripe().raw_request_async(method, path, **params, **options)
            body = orjson.loads(answer.headers[_BODY])
        except stripe.StripeError as error:
            self._learn_clock(error.headers or {})
            raise self._named(method, path, error) from error
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._down(error) from error
        self._learn_clock(answer.headers)
        return body, began + self._ahead

    def _learn_clock(self, headers: Mapping[str, str]) -> None:
        """A clock that runs ahead here must not make old news look new. Both ends of the second err to the past."""
        with suppress(KeyError, ValueError):
            self._ahead = parsedate_to_datetime(headers["Date"]).timestamp() - time.time()

    def _stripe(self) -> stripe.StripeClient:
        if self._client is None:
            self._http = _RawClient(timeout=_TIMEOUT, connector=aiohttp.TCPConnector(limit=_CONNECTIONS))
            self._client = stripe.StripeClient(
                self.access.api_key,
                base_addresses={"api": self.access.base.rstrip("/")},
                stripe_version=API_VERSION,
                http_client=self._http,
                max_network_retries=0,
            )
        return self._client

    def _down(self, error: Exception) -> StripeDown:
        return StripeDown(
            f"Stripe's API at {self.access.base} does not answer: {in_words(error.__cause__ or error)}",
            remedy="it is tried again; https://status.stripe.com says how Stripe is doing",
        )

    def _named(self, method: str, path: str, error: stripe.StripeError) -> TillstreamError:
        """Stripe's error as ours."""
        message, status = error.user_message or str(error), error.http_status or 0
        match error:
            case stripe.AuthenticationError():
                return KeyRevoked(
                    f"Stripe refuses the API key of account {self.account}: {message}",
                    remedy="make a new key at https://dashboard.stripe.com/apikeys and export STRIPE_API_KEY",
                )
            case stripe.PermissionError():
                return PermissionMissing(self.account, path, message, write=method != "get")
            case stripe.RateLimitError():
                self.turns.refused(_retry_after(error.headers))
                return RateLimited(f"Stripe asks account {self.account} for fewer requests: {message}")
            case stripe.InvalidRequestError() if status == 404:
                return NotFound(message, param=error.param or "")
            case stripe.InvalidRequestError():
                return BadRequest(f"Stripe refuses {method.upper()} {path}: {message}", param=error.param or "")
            case _ if status == 409 or status >= 500 or not status:
                return self._down(error)
            case _:
                return BadRequest(f"Stripe answers {status} to {method.upper()} {path}: {message}")


async def turn_over(api: StripeApi, path: str, asked: Json, before: list[Json]) -> tuple[Page, Json]:
    """The page after `before`, which `asked` gave; and how it was asked for.

    A cursor whose object was deleted meanwhile, or a page that repeats, is got around by asking for what was created
    up to the second of the last object: then some come twice. Raises EndlessList when that leads nowhere either.
    """
    last, seen = before[-1], {one["id"] for one in before}
    created = last.get("created")
    following = {**asked, "starting_after": last["id"]}
    try:
        page = await api.page(path, following)
    except (NotFound, BadRequest) as error:
        if error.param != "starting_after" or created is None:
            raise
    else:
        if not _repeats(page, seen):
            return page, following
    following = {name: value for name, value in asked.items() if name != "starting_after"}
    following["created"] = {**asked.get("created", {}), "lte": created}
    page = await api.page(path, following) if created is not None else page
    if _repeats(page, seen) and page.has_more:
        raise EndlessList(f"Stripe's list {path} gives the same page again and again, at {last['id']}")
    return page, following


def _repeats(page: Page, seen: set[str]) -> bool:
    return bool(page.objects) and all(one["id"] in seen for one in page.objects)


def _retry_after(headers: Any) -> float:
    """Seconds; 0 when Stripe names none."""
    try:
        return max(float((headers or {}).get("Retry-After", 0)), 0.0)
    except (TypeError, ValueError):
        return 0.0


class _RawClient(stripe.AIOHTTPClient):
    """Passes a good answer by as it came.

    The library would decode it, and parse it into OrderedDicts in Python: five times the work of reading it once.
    """

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        content, status, answered = await super().request_async(method, url, headers, post_data)
        if status >= 400:
            return content, status, answered
        kept: CIMultiDict[Any] = CIMultiDict(answered)
        kept[_BODY] = content
        return b"{}", status, kept
