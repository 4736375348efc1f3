"""The door's HTTP side: POST /webhooks/stripe[/{account}], and GET /readyz and /livez, which tell yes or no.

This port may face the internet: what else there is to know is on the role's health port.
"""

import asyncio
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from aiohttp import web
from prometheus_client import Counter

from ingest import body as bodies
from ingest import telemetry
from ingest.admission import NotAnObject, admit
from ingest.belonging import keys
from ingest.connections import MOST_CONNECTIONS, ROOM, Connection, Connections
from ingest.publisher import Publisher
from ingest.signature import BadSignature, read_header
from schemas.errors import Unavailable
from streams.kafka import MessageSizeTooLargeError

BODY_SECONDS = 20.0
DEFAULT_ACCOUNT = "default"
WEBHOOKS = "/webhooks/stripe"
_OF_ACCOUNT = f"{WEBHOOKS}/"
_OTHER_FILES = 128


@dataclass(frozen=True, slots=True)
class DoorConfig:
    """What the door needs: aiokafka's client arguments, the signing secrets by account as they are written in settings
    (`schemas.signing`), and the full topic name.
    """

    kafka: Mapping[str, Any]
    accounts: Mapping[str, Sequence[str]]
    topic: str
    max_body_bytes: int = 4 * 1024 * 1024
    account_ids: Mapping[str, str] = field(default_factory=dict)  # account name → Stripe's `acct_…`, as far as known


class Door:
    """Accepts a webhook only when it can't be lost any more.

    Routes by itself on aiohttp's low-level server: the application framework's routing and signals would cost a
    fifth of what an event costs in all.
    """

    def __init__(self, config: DoorConfig) -> None:
        self._config = config
        self.publisher = Publisher(config.kafka, config.topic)
        self._accepted: dict[str, Counter] = {}
        self.use_secrets(config.accounts, config.account_ids)

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Any request; unknown paths are 404 with nothing in it, other methods 405."""
        connection = cast(Connection, request.protocol)
        connection.begin()
        try:
            path = request.path
            if path == WEBHOOKS or path.startswith(_OF_ACCOUNT):
                if request.method != "POST":
                    return _refuse(405, "path", "only POST is taken here", {"Allow": "POST"})
                account = DEFAULT_ACCOUNT if path == WEBHOOKS else path.removeprefix(_OF_ACCOUNT)
                with telemetry.IN_FLIGHT.track_inprogress():
                    return await self._webhook(request, connection, account)
            if path not in ("/readyz", "/livez"):
                telemetry.REFUSED.labels("path").inc()
                return web.Response(status=404)
            if request.method not in ("GET", "HEAD"):
                return _refuse(405, "path", "only GET is taken here", {"Allow": "GET, HEAD"})
            return web.Response(status=503 if path == "/readyz" and self.ready() else 200)
        finally:
            connection.end()

    def use_secrets(self, accounts: Mapping[str, Sequence[str]], account_ids: Mapping[str, str] | None = None) -> None:
        """From the next request on, take what these secrets sign. Raises ConfigurationError for a blank one."""
        self._keys = keys(accounts, account_ids or {})
        for account in accounts.keys() - self._accepted.keys():
            self._accepted[account] = telemetry.ACCEPTED.labels(account)

    @property
    def max_body_bytes(self) -> int:
        """The largest body taken, also after unpacking."""
        return self._config.max_body_bytes

    def ready(self) -> str:
        """'' when events can be accepted now, else why not."""
        if not any(self._keys.signing.values()):
            return "no webhook signing secret yet: tillstream connect, or set STRIPE_WEBHOOK_SECRET"
        return self.publisher.refusal

    async def _webhook(self, request: web.BaseRequest, connection: Connection, account: str) -> web.Response:
        """200 kept, 400 not Stripe's or no JSON object, 404 no such account, 408, 413, 503 Kafka can't take it."""
        known = self._keys
        secrets = known.signing.get(account)
        if secrets is None and (account != DEFAULT_ACCOUNT or known.signing):
            return _refuse(404, "account", f"no account {account!r} is configured")
        if not secrets:
            return _refuse(503, "account", f"account {account!r} has no webhook signing secret", {"Retry-After": "60"})
        limit = self._config.max_body_bytes
        try:
            signature = read_header(request.headers.get("Stripe-Signature"), time.time())
            body: bytes | bytearray | None = bodies.whole(request, limit)
            if body is None:  # for most there is no timer and no waiting
                async with asyncio.timeout(BODY_SECONDS):
                    body = await bodies.rest(request, limit)
            received_at = time.time()
            if encoding := request.headers.get("Content-Encoding"):
                body = bodies.unpacked(body, encoding, limit)
            signers = signature.check(body, secrets)
            connection.trust()
            message = admit(body, account, received_at, partial(known.owner, account, signature, body, signers))
        except BadSignature as error:
            return _refuse(400, "signature", str(error))
        except NotAnObject as error:
            return _refuse(400, "not_an_object", str(error))
        except bodies.Unreadable as error:
            return _refuse(400, "body", str(error))
        except bodies.TooLarge:
            return _refuse(413, "size", f"the body is larger than {limit} bytes")
        except TimeoutError:
            return _refuse(408, "slow", f"the body took more than {BODY_SECONDS:.0f} s")
        except web.RequestPayloadError:
            return _refuse(400, "body", "the body can't be read")
        except ConnectionError:
            return _refuse(400, "body", "the client hung up")  # nobody hears it, but it is counted
        del body  # it is in the message, and Kafka may take its time
        try:
            await self.publisher.publish(*message)
        except Unavailable as error:
            return _refuse(503, "unavailable", str(error), {"Retry-After": "5"})
        except MessageSizeTooLargeError:
            return _refuse(413, "size", "the event is larger than the broker takes")
        telemetry.ACKNOWLEDGED_IN.observe(time.time() - received_at)
        self._accepted[account].inc()
        return web.Response(body=b"ok", content_type="text/plain")


def _refuse(status: int, reason: str, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    telemetry.REFUSED.labels(reason).inc()
    return web.json_response({"error": text, "code": reason}, status=status, headers=headers)


def create_app(config: DoorConfig) -> Door:
    """The door, not yet connected to Kafka; open it with `serve`."""
    return Door(config)


async def serve(door: Door, host: str, port: int, stop: asyncio.Event) -> None:
    """Serve until `stop` is set; then let open requests finish, for 10 s at most, and flush what Kafka was sent."""
    server = Connections(
        door.handle,
        room=max(ROOM, 8 * door.max_body_bytes),
        most=_most_connections(),
        access_log=None,
        auto_decompress=False,  # what is not Stripe's is never unpacked before it is whole
        max_line_size=8190,
        max_field_size=8190,
    )
    runner = web.ServerRunner(server, shutdown_timeout=10.0)
    watcher = asyncio.create_task(server.watch(), name="door-idle")
    await door.publisher.start()
    try:
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        await stop.wait()
    finally:
        watcher.cancel()
        await runner.cleanup()
        await door.publisher.stop()


def _most_connections() -> int:
    """As many as files can be open, with some left for Kafka and the files of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(MOST_CONNECTIONS, soft - _OTHER_FILES))
