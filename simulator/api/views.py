"""What the simulated API answers: lists, filters, pages and single objects of one account. No HTTP in here."""

from collections.abc import Callable, Collection
from typing import Any

from multidict import MultiDict

from simulator.api.expand import expand
from simulator.api.query import Query, array, check_names, short_page, wanted
from simulator.api.shelves import Row, Shelf
from simulator.errors import bad_value, missing, unknown_url
from simulator.rendering.billing import line_json
from simulator.rendering.kinds import KINDS
from simulator.rendering.objects import event_json, object_json, refund_json, refunds_list
from simulator.rendering.payments import payment_intent_json, payout_json, transaction_json
from simulator.rendering.shapes import shape_of
from simulator.rendering.subscriptions import coupon_json, discount_json, tiers_json
from simulator.world.books import Books
from simulator.world.objects import BalanceTransaction, Charge, Customer, Event, Invoice, Payout

Json = dict[str, Any]
EVENTS_KEPT = 30 * 86_400  # seconds


class Views:
    """One account's objects, newest first, as lists and single objects, as of `now()` (Unix seconds).

    Events keep the account's own `api_version`, whatever version a request asks for: they are frozen when made.
    `pending(event)` is how many endpoints have not taken it yet.
    """

    def __init__(self, books: Books, now: Callable[[], int], api_version: str, pending: Callable[[Event], int]) -> None:
        self._books, self._now, self._api_version, self._pending = books, now, api_version, pending
        sources: dict[str, Collection[Row]] = {
            "balance_transactions": books.balance.transactions.values(),
            "charges": books.charges.values(),
            "credit_notes": books.credit_notes.values(),
            "customers": books.customers.values(),
            "disputes": books.disputes.values(),
            "events": books.events,
            "invoices": books.invoices.values(),
            "invoice_payments": books.invoice_payments.values(),
            "payment_methods": books.payment_methods.values(),
            "payouts": books.balance.payouts.values(),
            "prices": books.prices.values(),
            "products": books.products.values(),
            "refunds": books.refunds.values(),
            "subscriptions": books.subscriptions.values(),
        }
        self._shelves = {name: Shelf(source, KINDS[name].indexed) for name, source in sources.items()}

    def page(self, kind: str, query: Query, version: str, *, url: str = "") -> Json:
        """One page of a kind. Raises ApiError for an unknown kind, cursor, filter or value."""
        if kind == "payment_intents":
            return self._intents(query, version)
        if kind == "coupons":
            return self._coupons(query)
        if kind not in self._shelves:
            raise unknown_url("GET", f"/v1/{kind}")
        if kind == "balance_transactions" and query.get("payout") is not None:
            return self._contents(query, version)
        now = self._now()
        oldest = now - EVENTS_KEPT if kind == "events" else 0
        cut = wanted(kind, KINDS[kind], query, oldest=oldest, now=now, delivered=lambda event: not self._pending(event))
        for param, cursor in (("starting_after", cut.after), ("ending_before", cut.before)):
            if cursor is not None and not self._listed(kind, cursor):
                raise missing(KINDS[kind].noun, cursor, param)
        rows, more = self._shelves[kind].page(cut)
        body: Json = {
            "object": "list",
            "data": [self._json(row, version) for row in rows],
            "has_more": more,
            "url": url or f"/v1/{kind}",
        }
        self._expand(body, query, version)
        return body

    def _contents(self, query: Query, version: str) -> Json:
        """What an automatic payout took; of one that was made by hand Stripe does not know. Raises ApiError."""
        payout = query.get("payout") or ""
        row = self._visible("payouts", payout)
        if not isinstance(row, Payout):
            raise missing("payout", payout, "payout")
        if not row.automatic:
            message = "Balance transaction history can only be filtered on automatic transfers, not manual."
            raise bad_value("payout", message)
        others = [(name, value) for name, value in query.items() if name != "payout"]
        taken = sorted(self._books.balance.contents[payout], key=lambda one: one.created, reverse=True)
        page, more = short_page([self._json(one, version) for one in taken], "balance_transaction", MultiDict(others))
        body: Json = {"object": "list", "data": list(page), "has_more": more, "url": "/v1/balance_transactions"}
        self._expand(body, query, version)
        return body

    def _coupons(self, query: Query) -> Json:
        """All of them: here they have no time at which they were made."""
        page, more = short_page([{"id": name} for name in self._books.coupons], "coupon", query)
        data = [coupon_json(self._books.coupons[one["id"]], self._books.livemode) for one in page]
        return {"object": "list", "data": data, "has_more": more, "url": "/v1/coupons"}

    def _intents(self, query: Query, version: str) -> Json:
        """The payment intents of charges, the newest first; of those without one no list is kept."""
        charges = [row for row in self._books.charges.values() if row.created <= self._now() and row.payment_intent]
        newest = dict.fromkeys(row.payment_intent for row in sorted(charges, key=lambda row: row.created, reverse=True))
        page, more = short_page([{"id": intent} for intent in newest], "payment_intent", query)
        data = [self._payment_intent(one["id"], version) for one in page]
        body: Json = {"object": "list", "data": data, "has_more": more, "url": "/v1/payment_intents"}
        self._expand(body, query, version)
        return body

    def retrieve(self, kind: str, object_id: str, query: Query, version: str) -> Json:
        """One object. Raises ApiError 404 when there is none."""
        check_names(query, lambda name: name in ("expand", "usage"))  # stripe-python tells its `usage` on thin events
        body = self.find(kind, object_id, version)
        if body is None:
            noun = KINDS[kind].noun if kind in KINDS else kind.removesuffix("s")
            raise missing(noun, object_id, "id")
        self._expand(body, query, version)
        return body

    def find(self, kind: str, object_id: str, version: str) -> Json | None:
        """One object as JSON, None when there is none. Raises ApiError for an unknown kind."""
        if kind == "payment_intents":
            return self._payment_intent(object_id, version)
        if kind == "discounts":
            return self._discount(object_id, version)
        if kind == "coupons":
            coupon = self._books.coupons.get(object_id)
            return None if coupon is None else coupon_json(coupon, self._books.livemode)
        if kind not in self._shelves:
            raise unknown_url("GET", f"/v1/{kind}/{object_id}")
        row = self._visible(kind, object_id)
        if isinstance(row, Customer) and row.deleted:
            return {"id": row.id, "object": "customer", "deleted": True}
        return None if row is None else self._json(row, version)

    def preview(self, customer: str, subscription: str, version: str) -> Json:
        """The invoice that is to come next, as it was announced last. Raises ApiError 404 when none was."""
        for event in reversed(self._books.events):
            invoice = event.object
            if event.type != "invoice.upcoming" or not isinstance(invoice, Invoice) or event.created > self._now():
                continue
            if customer in ("", invoice.customer) and subscription in ("", invoice.subscription):
                body = object_json(invoice, version, livemode=self._books.livemode)
                return body | {"id": f"upcoming_in_{event.id.removeprefix('evt_')}"}
        raise missing("invoice", subscription or customer, "subscription" if subscription else "customer")

    def nested(self, kind: str, object_id: str, members: str, query: Query, version: str) -> Json:
        """A page of an invoice's lines, a charge's refunds or a customer's payment methods."""
        url = f"/v1/{kind}/{object_id}/{members}"
        if (kind, members) not in (("invoices", "lines"), ("charges", "refunds"), ("customers", "payment_methods")):
            raise unknown_url("GET", url)
        row = self._visible(kind, object_id)
        if row is None:
            raise missing(KINDS[kind].noun, object_id, "id")
        if members == "payment_methods":
            chosen = {**dict(query.items()), "customer": object_id}
            return self.page("payment_methods", chosen, version, url=url)
        shape, livemode = shape_of(version), self._books.livemode
        data: list[Json]
        if isinstance(row, Invoice):
            data = [line_json(line, row, shape, livemode) for line in row.lines]
        else:
            assert isinstance(row, Charge)
            data = [refund_json(refund, shape, livemode) for refund in reversed(row.refunds)]
        page, more = short_page(data, members.removesuffix("s"), query)
        body: Json = {"object": "list", "url": url, "has_more": more, "data": list(page)}
        self._expand(body, query, version)
        return body

    def _visible(self, kind: str, object_id: str) -> Row | None:
        row = self._shelves[kind].get(object_id)
        if row is None or row.created > self._now():
            return None
        if isinstance(row, Event) and row.created < self._now() - EVENTS_KEPT:
            return None
        return None if isinstance(row, Invoice) and row.status == "deleted" else row

    def _listed(self, kind: str, object_id: str) -> bool:
        """Whether lists know it: a deleted customer is no cursor any more."""
        row = self._visible(kind, object_id)
        return row is not None and not (isinstance(row, Customer) and row.deleted)

    def _json(self, row: Row, version: str) -> Json:
        if isinstance(row, Event):
            return event_json(row, self._api_version) | {"pending_webhooks": self._pending(row)}
        if isinstance(row, BalanceTransaction):
            return transaction_json(row, shape_of(version), self._now())
        if isinstance(row, Payout):
            return payout_json(row, shape_of(version), self._books.livemode, self._now())
        return object_json(row, version, livemode=self._books.livemode)

    def _payment_intent(self, intent: str, version: str) -> Json | None:
        tried = self._shelves["charges"].matching("payment_intent", intent)
        charges = [row for row in tried if isinstance(row, Charge) and row.created <= self._now()]
        asked = self._shelves["invoice_payments"].matching("payment_intent", intent)
        invoice = self._shelves["invoices"].get(getattr(asked[0], "invoice", "")) if asked else None
        if not charges and not isinstance(invoice, Invoice):
            return None
        of = invoice if isinstance(invoice, Invoice) else None
        return payment_intent_json(intent, charges, of, shape_of(version), self._books.livemode)

    def _discount(self, identifier: str, version: str) -> Json | None:
        for subscription in self._books.subscriptions.values():
            for one in subscription.discounts:
                if one.id == identifier:
                    return discount_json(one, subscription, shape_of(version), self._books.livemode)
        return None

    def _tiers(self, price: str) -> list[Json]:
        """Raises KeyError for a price without."""
        for subscription in self._books.subscriptions.values():
            for _, plan, _ in subscription.items:
                if plan.price == price and plan.tiers:
                    return tiers_json(plan)
        raise KeyError("tiers")

    def _expand(self, body: Json, query: Query, version: str) -> None:
        def include(obj: Json, member: str) -> Any:
            return self._included(obj, member, version)

        expand(body, array(query, "expand"), lambda kind, object_id: self.find(kind, object_id, version), include)

    def _included(self, obj: Json, member: str, version: str) -> Any:
        """A member that Stripe leaves out unless it is expanded. Raises KeyError."""
        shape, livemode = shape_of(version), self._books.livemode
        if obj.get("object") == "price" and member == "tiers":
            return self._tiers(obj["id"]) if obj["billing_scheme"] == "tiered" else None
        if member == "discounts" and obj.get("object") in ("subscription", "subscription_item"):
            return []
        row = self._shelves["charges" if obj.get("object") == "charge" else "invoices"].get(str(obj.get("id")))
        if isinstance(row, Charge) and member == "refunds":
            return refunds_list(row, shape, livemode)
        if isinstance(row, Invoice) and shape.basil and member == "amount_paid_off_stripe":
            return row.paid_off_stripe
        if isinstance(row, Invoice) and shape.basil and member == "payments":
            payments = self._shelves["invoice_payments"].matching("invoice", row.id)
            data = [self._json(payment, version) for payment in payments]
            return {"object": "list", "data": data, "has_more": False, "url": f"/v1/invoice_payments?invoice={row.id}"}
        raise KeyError(member)
