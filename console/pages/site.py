"""What all pages share: where they read, how they are rendered, and what leads from one to the other."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from console.access.gate import VISITOR
from console.access.visitors import Way, is_encrypted
from console.actions import Actions
from console.audit import Action, Audit, Outcome
from console.config import ConsoleConfig
from console.engagement import Engagement
from console.live import Live
from console.notices import Notices
from console.roles import refusal, to_change, to_look
from console.templates_env import address, environment
from schemas.errors import ConfigurationError
from schemas.metrics import Metric
from warehouse.client import Warehouse

#: The metrics in the order in which they are shown.
METRICS: Final = (
    Metric.SUCCESSFULLY_PAID,
    Metric.FAILED_PAYMENT,
    Metric.REFUNDED_PAYMENT,
    Metric.ISSUED_INVOICE,
    Metric.UPCOMING_INVOICE,
    Metric.CREDIT_NOTE,
    Metric.DISPUTE,
    Metric.SUBSCRIPTION_STARTED,
    Metric.SUBSCRIPTION_CHANGED,
    Metric.SUBSCRIPTION_CANCELED,
    Metric.TRIAL_ENDING,
)
#: Those of them that the overview shows even when there are none.
ALWAYS: Final = METRICS[:4]
#: Path, name and icon (a symbol of static/icons.svg) of every page that can be reached from everywhere.
NAVIGATION: Final = (
    ("/", "Overview", "overview"),
    ("/feed", "Activity", "activity"),
    ("/profiles", "Profiles", "people"),
    ("/segments", "Segments", "segments"),
    ("/flows", "Flows", "flows"),
    ("/templates", "Templates", "mail"),
    ("/mrr", "MRR", "mrr"),
    ("/payouts", "Payouts", "payouts"),
    ("/books", "Closed books", "books"),
    ("/integration", "Integration", "plug"),
    ("/health", "Health", "health"),
    ("/sql", "SQL", "sql"),
    ("/settings", "Settings", "settings"),
    ("/audit", "Audit log", "audit"),
)
#: The entry of the navigation that a page below it belongs to.
_BELOW: Final = {
    "/event": "/feed",
    "/raw": "/feed",
    "/profile": "/profiles",
    "/message": "/profiles",
    "/segment": "/segments",
    "/flow": "/flows",
    "/template": "/templates",
    "/brand": "/templates",
}
_ONE_THING: Final = ("/event", "/raw", "/profile", "/message")  # of one mode: the other mode has no such page
THEMES: Final = ("light", "dark")


class Site:
    """Renders pages; one for the whole console."""

    def __init__(
        self,
        config: ConsoleConfig,
        warehouse: Warehouse,
        actions: Actions | None,
        engagement: Engagement | None,
        audit: Audit,
        notices: Notices,
    ) -> None:
        self.config = config
        self.actions = actions
        self.engagement = engagement
        self.warehouse = warehouse
        self.live = Live(warehouse)
        self.audit = audit
        self._notices = notices
        self._templates = environment(config)

    def page(self, request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
        """Renders; beside `values` every template knows those below."""
        live = request.query.get("mode", "live") != "test"
        path = request.path if request.path not in _ONE_THING and status == 200 else "/"
        kept = [pair for pair in request.query.items() if pair[0] not in ("mode", "before")] if path != "/" else []

        def link(path: str, **parameters: Any) -> str:
            """`link('/feed', email=…)`, in the page's mode; parameters that are empty are left out."""
            return address(path, [*parameters.items(), *([] if live or "mode" in parameters else [("mode", "test")])])

        notice = self._notices.take(request) if request.method == "GET" and "HX-Request" not in request.headers else ""
        html = self._templates.get_template(template).render(
            live=live,
            link=link,
            here=request.path,
            above=_BELOW.get("/" + request.path.split("/")[1], ""),
            modes={"live": address(path, kept), "test": address(path, [*kept, ("mode", "test")])},
            theme=request.cookies.get("theme") if request.cookies.get("theme") in THEMES else "",
            navigation=[one for one in NAVIGATION if self._may_look(request, one[0])],
            all_metrics=METRICS,
            status=status,
            may=self.may(request),
            may_at=lambda path: self.may(request, path),
            signed_in=self._signed_in(request),
            notice=notice,
            can_judge=self.actions is not None,
            now=datetime.now(UTC),
            **values,
        )
        response = web.Response(text=html, content_type="text/html", charset="utf-8", status=status)
        if notice:
            self._notices.told(response, request.path)
        return response

    def may(self, request: web.Request, path: str = "") -> bool:
        """Whether the visitor may do what is done at a path, and on this page if none is given."""
        visitor = request.get(VISITOR)
        return self.actions is not None and visitor is not None and visitor.may(to_change(path or request.path))

    def _may_look(self, request: web.Request, path: str) -> bool:
        visitor = request.get(VISITOR)
        return visitor is not None and visitor.may(to_look(path))

    def _signed_in(self, request: web.Request) -> bool:
        """Whether there is a session that can be ended here."""
        visitor = request.get(VISITOR)
        return visitor is not None and visitor.way is Way.SESSION

    def change(
        self, request: web.Request, action: Action, *, account: str = "", people: Iterable[str] = (), detail: str = ""
    ) -> AbstractAsyncContextManager[Outcome]:
        """Around everything that changes something: the audit log tells that the visitor had it done."""
        return self.audit.change(request[VISITOR], action, account=account, people=people, detail=detail)

    def back(self, request: web.Request, path: str, done: str, **parameters: str) -> web.Response:
        """To a page after something was `done`, in the mode that it was done from; the page tells it."""
        test = request.query.get("mode") == "test"
        where = address(path, [*parameters.items(), *([("mode", "test")] if test else [])])
        response = web.Response(status=303, headers={"Location": where})
        self._notices.leave(response, path, done, secure=is_encrypted(request, self.config.public_url))
        return response


class Page(ABC):
    """A page; a subclass gives its routes."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.config = site.config
        self.warehouse = site.warehouse

    @property
    def actions(self) -> Actions:
        """Raises ConfigurationError when there are none."""
        if self.site.actions is None:
            raise ConfigurationError(
                "this console can only show", remedy="start it by tillstream up, or tillstream console"
            )
        return self.site.actions

    @property
    def engagement(self) -> Engagement:
        """Raises ConfigurationError when nobody here knows segments and flows."""
        if self.site.engagement is None:
            raise ConfigurationError(
                "this console knows no segments and flows", remedy="start it by tillstream up, or tillstream console"
            )
        return self.site.engagement

    def must_be_allowed(self, request: web.Request) -> None:
        """Raises 403 for who may only look: for pages that lead to a change."""
        if not self.site.may(request):
            raise web.HTTPForbidden(text=refusal(request[VISITOR].role))

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """The page, and the parts of it that are asked for by themselves."""
