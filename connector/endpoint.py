"""What has to be done in Stripe so that it sends what we need, where we need it: pure.

An endpoint is ours when it sends to our URL, or when its secret is stored here. Its API version and whether it is thin
are fixed when it is made, and its secret is told only then (Stripe, "The Webhook Endpoint object"): what can't be
changed is made anew, and the old one is deleted last, so that at any moment at least one of them sends.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

EVERY_TYPE = "*"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A webhook endpoint (or a thin event destination) as Stripe has it. `api_version` is '' for the account's own."""

    id: str
    url: str
    types: frozenset[str]
    enabled: bool
    api_version: str
    thin: bool
    created: float


@dataclass(frozen=True, slots=True)
class Wish:
    """The endpoint that should be there. It may have any of the types `also`, but need not."""

    url: str
    types: tuple[str, ...]
    api_version: str
    thin: bool = False
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Create:
    """Make a new one, because of `why`."""

    wish: Wish
    why: str


@dataclass(frozen=True, slots=True)
class Update:
    """Change the one that is there; `changes` are sentences for a person."""

    endpoint: Endpoint
    wish: Wish
    changes: tuple[str, ...]

    @property
    def types(self) -> tuple[str, ...]:
        """The event types that it will have."""
        return (
            *self.wish.types,
            *(name for name in self.wish.also if name in self.endpoint.types - {*self.wish.types}),
        )


@dataclass(frozen=True, slots=True)
class Delete:
    """Take it away, once all that it still has to deliver is delivered."""

    endpoint: Endpoint
    why: str


Step = Create | Update | Delete


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps, in order, and what a person should know beside them. `kept` stays as the one that sends."""

    steps: tuple[Step, ...]
    kept: Endpoint | None
    notes: tuple[str, ...] = ()


def plan(
    found: Iterable[Endpoint], wish: Wish, *, stored: Sequence[str], other_secrets: bool, roll: bool = False
) -> Plan:
    """What to do about the endpoints `found`.

    `stored` are the ids of those whose secret is stored here, the newest last; `other_secrets`: the settings hold
    secrets too, of which nobody can say whose they are.
    """
    ours = [one for one in found if one.thin == wish.thin and (same_url(one.url, wish.url) or one.id in stored)]
    age = {identifier: number for number, identifier in enumerate(stored)}
    ours.sort(key=lambda one: (age.get(one.id, -1), one.enabled, one.created, one.id), reverse=True)
    kept, why = _kept(ours, wish, stored, other_secrets=other_secrets, roll=roll)
    steps: list[Step] = []
    notes: list[str] = []
    if kept is None:
        steps.append(Create(wish, why))
    elif changes := _changes(kept, wish):
        steps.append(Update(kept, wish, changes))
    for other in ours:
        if other is kept:
            continue
        if kept is None or kept.id in stored:
            steps.append(Delete(other, "the new one takes its place" if kept is None else "it sends everything twice"))
        else:
            notes.append(
                f"{other.id} sends to {other.url} too; delete one of the two in Stripe's dashboard, "
                "since only you know whose secret is in STRIPE_WEBHOOK_SECRET"
            )
    return Plan(tuple(steps), kept, tuple(notes))


def _kept(
    ours: list[Endpoint], wish: Wish, stored: Collection[str], *, other_secrets: bool, roll: bool
) -> tuple[Endpoint | None, str]:
    """The one that stays; or none, and why a new one is needed."""
    if not ours:
        return None, "none sends here yet"
    if roll:
        return None, "a new secret is wanted"
    known = [one for one in ours if one.id in stored or other_secrets]
    if not known:
        return None, f"the secret of {ours[0].id} is not known here, and Stripe tells it only once"
    for one in known:
        if wish.thin or one.api_version == wish.api_version:
            return one, ""
    version = known[0].api_version or "the account's default"
    return None, f"the API version of {known[0].id} is {version}, and can't be changed"


def _changes(endpoint: Endpoint, wish: Wish) -> tuple[str, ...]:
    changes = []
    if not endpoint.enabled:
        changes.append("enable it")
    if not same_url(endpoint.url, wish.url):
        changes.append(f"send to {wish.url} instead of {endpoint.url}")
    missing, extra = differing_types(endpoint.types, wish.types)
    extra = [name for name in extra if name not in wish.also]
    if missing:
        changes.append(f"add {_named(missing)}")
    if extra:
        changes.append(f"drop {_named(extra)}")
    return tuple(changes)


def differing_types(types: Collection[str], wanted: Collection[str]) -> tuple[list[str], list[str]]:
    """(missing, extra) event types; `*` misses none."""
    if EVERY_TYPE in types:
        return [], [EVERY_TYPE]
    return sorted(set(wanted) - set(types)), sorted(set(types) - set(wanted))


def same_url(one: str, other: str) -> bool:
    """Do both lead to the same place? A slash at the end and the case of the host make no difference."""
    left, right = urlsplit(one), urlsplit(other)
    return (left.scheme, left.netloc.lower(), left.path.rstrip("/"), left.query) == (
        right.scheme,
        right.netloc.lower(),
        right.path.rstrip("/"),
        right.query,
    )


def from_v1(body: Mapping[str, Any]) -> Endpoint:
    """From Stripe's `webhook_endpoint`."""
    return Endpoint(
        id=body["id"],
        url=body["url"],
        types=frozenset(body.get("enabled_events") or ()),
        enabled=body.get("status") == "enabled",
        api_version=body.get("api_version") or "",
        thin=False,
        created=float(body.get("created") or 0),
    )


def from_v2(body: Mapping[str, Any], created: float) -> Endpoint:
    """From Stripe's `v2.core.event_destination` that is a webhook endpoint."""
    return Endpoint(
        id=body["id"],
        url=(body.get("webhook_endpoint") or {}).get("url") or "",
        types=frozenset(body.get("enabled_events") or ()),
        enabled=body.get("status") == "enabled",
        api_version=body.get("snapshot_api_version") or "",
        thin=body.get("event_payload") == "thin",
        created=created,
    )


def _named(types: list[str]) -> str:
    shown = ", ".join(types[:4])
    return shown if len(types) <= 4 else f"{shown} and {len(types) - 4} more event types"
