"""`connect` against the simulated Stripe and a real door: made, mended, rolled, and never without a secret."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from connector.connecting import Done, Intent, Prepared, carry_out, prepare, store_by_hand
from connector.endpoint_probe import Door, ask_door
from connector.errors import KeyRevoked, PermissionMissing
from connector.permissions import MANAGED, READ
from connector.stripe_api import StripeAccess, StripeApi
from schemas.errors import ConfigurationError
from schemas.stripe_types import EVENT_TYPES, FURTHER_TYPES, wanted_types
from settings.loading import load_settings, with_stored
from settings.secrets import secrets_path
from settings.table import Settings
from simulator.api.app import create_app
from simulator.api.virtual import VirtualStripe
from simulator.world.history import World
from tests.conftest import eventually
from tests.integration.connector_support import START
from tests.integration.ingest_support import RunningDoor, create, door, event

KEY, WEAK = "sk_live_simulated", "rk_live_weak"


@pytest.fixture(scope="module")
def world() -> World:
    return World(2, START, 3, 5)


@pytest.fixture
async def stripe(world: World) -> AsyncIterator[tuple[VirtualStripe, str]]:
    virtual = VirtualStripe(world, timezone="America/New_York")
    async with TestServer(create_app(virtual)) as server:
        yield virtual, f"http://127.0.0.1:{server.port}"


@pytest.fixture
async def closed_door(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[RunningDoor]:
    """A door that knows no secret yet."""
    await create(kafka_bootstrap, f"{topic_prefix}stripe.events")
    async with door(kafka_bootstrap, f"{topic_prefix}stripe.events", {"default": ()}) as running:
        yield running


class Installation:
    """A data directory, a door and a Stripe account."""

    def __init__(self, data: Path, virtual: VirtualStripe, base: str, running: RunningDoor) -> None:
        self.virtual, self.base, self.door = virtual, base, running
        environment = {"STRIPE_API_BASE": base, "TILLSTREAM_PUBLIC_URL": running.url}
        self._settings = load_settings(environment, tillstream_data=data)

    @property
    def settings(self) -> Settings:
        return with_stored(self._settings)

    @property
    def endpoints(self) -> list[Any]:
        return list(self.virtual.account("default").endpoints)

    @asynccontextmanager
    async def api(self, key: str = KEY) -> AsyncIterator[StripeApi]:
        async with StripeApi(StripeAccess("default", key, self.base, rate=1e4, patience=0)) as api:
            yield api

    async def connect(self, *, key: str = KEY, take: bool = True, **asked: Any) -> tuple[Prepared, Done]:
        """The command's work; with `take` the door has taken the secret up before it is asked."""
        intent = Intent("default", **asked)
        async with self.api(key) as api:
            prepared = await prepare(api, self.settings, intent)
            done = await carry_out(api, self.settings, intent, prepared)
        if take:
            self.door.door.use_secrets(self.settings.signing_secrets(), self.settings.account_ids())
        return prepared, done

    def secrets(self) -> tuple[str, ...]:
        return self.settings.webhook_secrets()["default"]


@pytest.fixture
def here(tmp_path: Path, stripe: tuple[VirtualStripe, str], closed_door: RunningDoor) -> Installation:
    return Installation(tmp_path, *stripe, closed_door)


async def test_the_endpoint_is_made_with_the_eighteen_types_and_a_pinned_version_and_its_secret_is_kept(
    here: Installation,
) -> None:
    prepared, done = await here.connect()
    (made,) = here.endpoints
    assert made.url == f"{here.door.url}/webhooks/stripe"
    assert tuple(made.enabled_events) == EVENT_TYPES
    assert made.api_version == "2026-10-28.endive"
    assert made.secrets == list(here.secrets())
    assert secrets_path(here.settings.tillstream_data, "default").stat().st_mode & 0o777 == 0o600
    assert prepared.report.timezone == "America/New_York"
    assert here.settings.account_ids() == {"default": here.virtual.account("default").id}
    assert here.settings.signing_secrets() == {"default": (f"live:{made.secrets[0]}",)}
    assert abs(prepared.report.clock or 0) < 5
    assert done.door is Door.REFUSES  # the door had not seen the file yet
    await eventually(here.door.ready)
    assert (await here.door.post(event("first", livemode=True), secret=made.secrets[0]))[0] == 200


async def test_twice_changes_nothing_and_a_disabled_or_changed_endpoint_is_mended(here: Installation) -> None:
    await here.connect()
    (made,) = here.endpoints
    assert (await here.connect())[0].plan.steps == ()
    made.status, made.enabled_events = "disabled", ["charge.succeeded", "price.created"]
    await here.connect(extended=True)
    assert (made.status, set(made.enabled_events)) == ("enabled", {*EVENT_TYPES, *FURTHER_TYPES})
    assert (await here.connect())[0].plan.steps == ()
    assert here.endpoints == [made]


async def test_a_roll_never_leaves_the_door_without_the_secret_that_signs(here: Installation) -> None:
    await here.connect()
    (old,) = here.endpoints
    _, done = await here.connect(roll=True, take=False)
    assert done.waiting == [old.id]  # the door has not taken the new secret: the old endpoint still sends
    assert len(here.endpoints) == 2
    new = next(one for one in here.endpoints if one is not old)
    assert here.secrets() == (new.secrets[0], old.secrets[0])
    here.door.door.use_secrets(here.settings.signing_secrets(), here.settings.account_ids())
    await eventually(here.door.ready)
    for secret in here.secrets():
        assert (await here.door.post(event("during", livemode=True), secret=secret))[0] == 200
    _, done = await here.connect()
    assert done.waiting == []
    assert here.endpoints == [new]
    assert here.secrets() == (new.secrets[0], old.secrets[0])  # for a day: what is on its way is signed with it
    assert (await here.connect())[0].plan.steps == ()


async def test_a_thin_destination_stands_beside_and_replaces_nothing(here: Installation) -> None:
    await here.connect()
    await here.connect(thin=True)
    snapshot, thin = here.endpoints
    assert (snapshot.thin, thin.thin) == (False, True)
    assert tuple(thin.enabled_events) == wanted_types(thin=True)
    assert set(here.secrets()) == {snapshot.secrets[0], thin.secrets[0]}
    for again in (False, True):
        assert (await here.connect(thin=again))[0].plan.steps == ()
    thin.status = "disabled"
    await here.connect(thin=True)
    assert thin.status == "enabled"
    await here.connect(thin=True, roll=True)
    _, done = await here.connect(thin=True)
    assert done.waiting == []
    assert snapshot in here.endpoints
    assert thin not in here.endpoints
    assert len(here.endpoints) == 2


async def test_every_permission_that_a_restricted_key_lacks_is_named(here: Installation) -> None:
    names = {name: name.removesuffix("s") for name in READ} | {"invoice_payments": "invoice", "refunds": "charge"}
    for resource in READ:
        granted = {f"{name}_read" for name in names.values()} - {f"{names[resource]}_read"}
        here.virtual.keys.restrict(WEAK, {*granted, "webhook_write"})
        async with here.api(WEAK) as api:
            report = (await prepare(api, here.settings, Intent("default"))).report
        assert [missing.permission for missing in report.missing] == [f"rak_{names[resource]}_read"]
        assert "dashboard.stripe.com" in report.missing[0].remedy


async def test_without_the_permission_for_endpoints_nothing_is_made(here: Installation) -> None:
    here.virtual.keys.restrict(WEAK, {"charge_read"})
    with pytest.raises(PermissionMissing, match=MANAGED):
        await here.connect(key=WEAK)
    assert here.endpoints == []


async def test_a_revoked_key_is_told_at_once(here: Installation) -> None:
    here.virtual.keys.revoke(KEY)
    with pytest.raises(KeyRevoked):
        await here.connect()


async def test_a_secret_made_by_hand_is_kept_beside_the_one_before(here: Installation) -> None:
    for secret in ("whsec_one", "whsec_two"):
        store_by_hand(here.settings, "default", secret=secret)
    assert here.secrets() == ("whsec_two", "whsec_one")
    here.door.door.use_secrets(here.settings.signing_secrets(), here.settings.account_ids())
    await eventually(here.door.ready)
    assert (await here.door.post(event("by_hand"), secret="whsec_one"))[0] == 200
    with pytest.raises(ConfigurationError, match="whsec_"):
        store_by_hand(here.settings, "default", secret="sk_live_in_the_wrong_place")


async def test_asking_the_door_tells_whether_it_knows_a_secret_and_leaves_nothing_behind(here: Installation) -> None:
    url = f"{here.door.url}/webhooks/stripe"
    assert await ask_door(url, "whsec_x") is Door.REFUSES
    here.door.door.use_secrets({"default": ("whsec_x",)})
    assert await ask_door(url, "whsec_x") is Door.TAKES
    assert await ask_door(url, "whsec_y") is Door.REFUSES
    assert await ask_door(f"{here.base}/v1/charges", "whsec_x") is Door.ELSEWHERE
    assert await ask_door("http://127.0.0.1:9/webhooks/stripe", "whsec_x") is Door.SILENT
    await eventually(here.door.ready)
    assert await here.door.kept() == {}
    assert (await here.door.get("/readyz"))[0] == 200
