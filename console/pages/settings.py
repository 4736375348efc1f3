"""Settings: what is in force and from where, mail with a test, the organisation, and what keeps mail from going out."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import available_timezones

from aiohttp import web

from console import forms
from console.audit import Action
from console.config import ConsoleConfig
from console.pages.site import Page
from console.roles import NAMES, POWERS
from console.setting_up import FORMS, SERVER, WRITE_ONLY, begin_anew
from schemas.errors import TillstreamError, Unavailable

_LONGEST = 400  # characters of a value, as `tillstream_unsubscribe_url` allows


@dataclass(frozen=True, slots=True)
class Again:
    """The page after a form was not saved: which one, with what was typed, and what is told of it."""

    form: str
    typed: Mapping[str, str] = field(default_factory=dict)
    told: str = ""
    error: TillstreamError | None = None

    @property
    def status(self) -> int:
        """Of the answer."""
        return 200 if self.error is None else 503 if isinstance(self.error, Unavailable) else 409


class SettingsPage(Page):
    """`/settings`."""

    def routes(self) -> list[web.RouteDef]:
        """The page, its checks, and what can be done there."""
        return [
            web.get("/settings", self.page),
            web.post("/settings/save", self.save),
            web.post("/settings/test", self.test),
            web.post("/settings/alert", self.try_alerts),
            web.post("/settings/stripe", self.from_stripe),
            web.post("/part/going-live", self.going_live),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """Everything that can be set here, and where each value is from."""
        return await self._page(request, Again(""))

    async def save(self, request: web.Request) -> web.Response:
        """Keep a form; the form again when something would not start with it."""
        form, typed = await _typed(request)
        names = ", ".join(name.upper() for name in FORMS[form])
        try:
            async with self.site.change(request, Action.SET, detail=f"of {names}"):
                changed = await asyncio.to_thread(self.actions.setting_up.save, form, typed, typed.get("revision", ""))
        except TillstreamError as error:
            return await self._page(request, Again(form, typed, error=error))
        roles = begin_anew(changed)
        told = (
            f"Saved. {' and '.join(roles)} begin{'s' if len(roles) == 1 else ''} anew with it." if roles else "Saved."
        )
        return self.site.back(request, "/settings", told if changed else "Nothing was changed.")

    async def test(self, request: web.Request) -> web.Response:
        """A mail by what was typed, which is not saved by that."""
        form, typed = await _typed(request)
        to = typed.get("to", "")
        try:
            async with self.site.change(request, Action.SEND_TEST, people=(to,), detail="of the mail server"):
                told = await self.actions.setting_up.send_test(typed, to)
        except TillstreamError as error:
            return await self._page(request, Again(form, typed, error=error))
        return await self._page(request, Again(form, typed, told))

    async def try_alerts(self, request: web.Request) -> web.Response:
        """By what is saved, since secrets are never shown."""
        _, typed = await _typed(request)
        try:
            async with self.site.change(request, Action.SEND_TEST, detail="of alerts"):
                told = await self.actions.setting_up.try_alerts()
        except TillstreamError as error:
            return await self._page(request, Again("alerts", typed, error=error))
        return await self._page(request, Again("alerts", typed, told))

    async def from_stripe(self, request: web.Request) -> web.Response:
        """What Stripe's account says, filled in and not saved."""
        try:
            found = await self.actions.setting_up.from_stripe()
        except TillstreamError as error:
            return await self._page(request, Again("organization", error=error))
        told = "Filled in from Stripe’s account; nothing is saved yet." if found else "Stripe’s account says nothing."
        return await self._page(request, Again("organization", found, told))

    async def going_live(self, request: web.Request) -> web.Response:
        """Asks DNS, so it is no GET."""
        return self.site.page(request, "going_live.html", checks=await self.actions.setting_up.checks())

    async def _page(self, request: web.Request, again: Again) -> web.Response:
        if self.site.actions is None:
            return self.site.page(request, "settings.html", status=again.status, shown=None, again=again)
        shown = await asyncio.to_thread(self.actions.setting_up.shown)
        above = {name for name, origin in shown.origins.items() if origin != "browser"}
        server = "smtp_url" in above
        typed = {
            name: value
            for name, value in again.typed.items()
            if name not in above and name not in ("smtp_password", *WRITE_ONLY) and not (server and name in SERVER)
        }
        return self.site.page(
            request,
            "settings.html",
            status=again.status,
            shown=shown,
            values={**shown.values, **typed},
            again=again,
            zone_names=sorted(name for name in available_timezones() if "/" in name or name == "UTC"),
            to=again.typed.get("to", ""),
            sign_ins=_sign_ins(self.config),
            roles=[(name, POWERS[role]) for name, role in NAMES.items()],
        )


def _sign_ins(config: ConsoleConfig) -> list[tuple[str, str, str]]:
    """Who or what, as which role, and the setting that says so; no token."""
    several = Counter(role for role, _ in config.tokens)
    names = {role: name for name, role in NAMES.items()}
    return [
        *([("a token", "admin", "TILLSTREAM_CONSOLE_TOKEN")] if config.token else []),
        *([("a token", "read", "TILLSTREAM_CONSOLE_READ_TOKEN")] if config.read_token else []),
        *(
            ("a token" if count == 1 else f"{count} tokens", names[role], "TILLSTREAM_CONSOLE_TOKENS")
            for role, count in several.items()
        ),
        *((who, "admin", "TILLSTREAM_CONSOLE_EDITORS") for who in config.editors),
        *((f"group:{group}", "admin", "TILLSTREAM_CONSOLE_EDITOR_GROUPS") for group in config.editor_groups),
        *((who, names[role], "TILLSTREAM_CONSOLE_ROLES") for who, role in config.roles),
    ]


async def _typed(request: web.Request) -> tuple[str, dict[str, str]]:
    """Which form, and what was typed into it. Raises 400."""
    typed = {name: value.strip() for name, value in (await forms.posted(request)).items()}
    form = typed.get("form", "")
    if form not in FORMS:
        raise forms.bad(f"there is no form {form[:40]!r} of settings")
    for name, value in typed.items():
        if len(value) > _LONGEST or not value.isprintable():
            raise forms.bad(f"{name[:40]}: at most {_LONGEST} characters, on one line")
    return form, typed
