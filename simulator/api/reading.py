"""The routes that read: the account, lists, single objects, nested lists, Stripe's own events, a preview."""

from aiohttp import web

from simulator.api.answers import ACCOUNT, KEY, VERSION, answer
from simulator.api.forms import form
from simulator.api.views import Views
from simulator.api.virtual import VirtualStripe
from simulator.errors import ApiError, missing, unknown_url
from simulator.rendering.kinds import KINDS
from simulator.rendering.payments import account_json, balance_json

#: What is no kind of the world's, and its permission.
_ALONE = {"payment_intents": "payment_intent", "coupons": "coupon"}


def routes(stripe: VirtualStripe) -> list[web.RouteDef]:
    """Nothing here can be changed through the API; a preview makes nothing."""

    def permit(request: web.Request, kind: str) -> None:
        if kind not in KINDS and kind not in _ALONE:
            raise unknown_url(request.method, request.path)
        permission = KINDS[kind].permission if kind in KINDS else _ALONE[kind]
        stripe.keys.permit(request[KEY], permission, write=False, account=request[ACCOUNT].id)

    def views(request: web.Request) -> Views:
        return stripe.views[request[ACCOUNT].place]

    async def account(request: web.Request) -> web.Response:
        mine = request[ACCOUNT]
        if request.match_info.get("id", mine.id) != mine.id:
            message = f"The provided key does not have access to account '{request.match_info['id']}'."
            raise ApiError(403, "account_invalid", message)
        stripe.keys.permit(request[KEY], "accounts_kyc_basic", write=False, account=mine.id)
        return answer(account_json(mine.id, mine.display_name, mine.timezone, mine.currency))

    async def balance(request: web.Request) -> web.Response:
        mine = request[ACCOUNT]
        stripe.keys.permit(request[KEY], "balance", write=False, account=mine.id)
        return answer(balance_json(mine.books.balance.totals(stripe.now()), mine.livemode))

    async def listing(request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        permit(request, kind)
        return answer(views(request).page(kind, request.query, request[VERSION]))

    async def retrieve(request: web.Request) -> web.Response:
        kind, object_id = request.match_info["kind"], request.match_info["id"]
        permit(request, kind)
        return answer(views(request).retrieve(kind, object_id, request.query, request[VERSION]))

    async def preview(request: web.Request) -> web.Response:
        permit(request, "invoices")
        asked = form((await request.post()).items(), ("customer", "subscription"))  # type: ignore[arg-type]
        whose = asked.get("customer", ""), asked.get("subscription", "")
        return answer(views(request).preview(*whose, request[VERSION]))

    async def nested(request: web.Request) -> web.Response:
        info = request.match_info
        permit(request, info["kind"])
        body = views(request).nested(info["kind"], info["id"], info["members"], request.query, request[VERSION])
        return answer(body)

    async def one_nested(request: web.Request) -> web.Response:
        """A customer's payment method, or a charge's refund."""
        info = request.match_info
        members = info["members"]
        owner = {"payment_methods": "customer", "refunds": "charge"}.get(members)
        if owner is None or info["kind"] != f"{owner}s":
            raise unknown_url(request.method, request.path)
        permit(request, members)
        found = views(request).retrieve(members, info["member"], request.query, request[VERSION])
        if found.get(owner) != info["id"]:
            raise missing(KINDS[members].noun, info["member"], "id")
        return answer(found)

    return [
        web.get("/v1/account", account),
        web.get("/v1/accounts/{id}", account),
        web.post("/v1/invoices/create_preview", preview),
        web.get("/v1/balance", balance),
        web.get("/v1/{kind}", listing),
        web.get("/v1/{kind}/{id}", retrieve),
        web.get("/v1/{kind}/{id}/{members}", nested),
        web.get("/v1/{kind}/{id}/{members}/{member}", one_nested),
    ]
