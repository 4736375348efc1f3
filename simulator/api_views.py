"""What the simulated API answers: lists, filters, pages and single objects of one account. No HTTP in here."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from schemas.errors import TillstreamError
from simulator.books import Books
from simulator.objects import Charge, Event, Invoice, State
from simulator.render import event_json, object_json, refunds_list
from simulator.render_billing import line_json
from simulator.shapes import shape_of

Json = dict[str, Any]
_LIMIT, _HIGHEST_LIMIT = 10, 100
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "": int.__eq__,
    "gt": int.__gt__,
    "gte": int.__ge__,
    "lt": int.__lt__,
    "lte": int.__le__,
}
_ARRAY = re.compile(r"\[\d*\]$")  # types[] and types[0] mean the same


class Query(Protocol):
    """The query string: aiohttp's multidict, or anything like it."""

    def get(self, key: str, /) -> str | None:
        """The first value."""

    def items(self) -> Any:
        """All pairs, repeated names too."""


class ApiError(TillstreamError):
    """An error answer, as Stripe shapes it."""

    def __init__(self, status: int, code: str | None, message: str, param: str | None) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param

    def body(self) -> Json:
        """The value of `error`."""
        body: Json = {"message": str(self), "type": "invalid_request_error"}
        if self.code:
            body |= {"code": self.code, "doc_url": f"https://stripe.com/docs/error-codes/{self.code}"}
        return body | ({"param": self.param} if self.param else {})


class Views:
    """One account's objects, newest first, as lists and single objects."""

    def __init__(self, books: Books) -> None:
        self._books = books
        kinds: dict[str, Sequence[State | Event]] = {
            "charges": list(books.charges.values()),
            "customers": list(books.customers.values()),
            "events": books.events,
            "invoices": [i for i in books.invoices.values() if i.status != "deleted"],
            "invoice_payments": list(books.invoice_payments.values()),
            "refunds": list(books.refunds.values()),
            "subscriptions": list(books.subscriptions.values()),
        }
        # Stable: of one second, what was made later comes first.
        self._kinds = {name: sorted(objects, key=lambda o: o.created)[::-1] for name, objects in kinds.items()}
        self._places = {name: {o.id: place for place, o in enumerate(rows)} for name, rows in self._kinds.items()}

    def page(self, kind: str, query: Query, version: str) -> Json:
        """One page of a kind. Raises ApiError for an unknown kind, cursor or number."""
        rows = self._rows(kind)
        tests = [*_time_tests(query), *_member_tests(kind, query)]
        step, start = 1, 0
        if after := query.get("starting_after"):
            start = self._place(kind, after, "starting_after") + 1
        elif before := query.get("ending_before"):
            step, start = -1, self._place(kind, before, "ending_before") - 1
        limit = _number(query, "limit", _LIMIT, 1, _HIGHEST_LIMIT)
        found: list[State | Event] = []
        more = False
        place = start
        while 0 <= place < len(rows):
            if all(test(rows[place]) for test in tests):
                if len(found) == limit:
                    more = True
                    break
                found.append(rows[place])
            place += step
        if step < 0:
            found.reverse()
        expand = {name.removeprefix("data.") for name in _array(query, "expand")}
        data = [self._json(row, expand, version) for row in found]
        return {"object": "list", "url": f"/v1/{kind}", "has_more": more, "data": data}

    def retrieve(self, kind: str, object_id: str, query: Query, version: str) -> Json:
        """One object. Raises ApiError 404 when there is none."""
        row = self._rows(kind)[self._place(kind, object_id, "id")]
        return self._json(row, set(_array(query, "expand")), version)

    def nested(self, kind: str, object_id: str, members: str, query: Query, version: str) -> Json:
        """A page of an invoice's lines or a charge's refunds."""
        row = self._rows(kind)[self._place(kind, object_id, "id")]
        shape, livemode = shape_of(version), self._books.livemode
        data: list[Json]
        if isinstance(row, Invoice) and members == "lines":
            data = [line_json(line, row, shape, livemode) for line in row.lines]
        elif isinstance(row, Charge) and members == "refunds":
            data = [object_json(refund, version, livemode=livemode) for refund in reversed(row.refunds)]
        else:
            raise ApiError(404, None, f"Unrecognized request URL (/v1/{kind}/{object_id}/{members}).", None)
        if after := query.get("starting_after"):
            places = [place for place, item in enumerate(data) if item["id"] == after]
            if not places:
                raise _missing(members, after, "starting_after")
            data = data[places[0] + 1 :]
        limit = _number(query, "limit", _LIMIT, 1, _HIGHEST_LIMIT)
        url = f"/v1/{kind}/{object_id}/{members}"
        return {"object": "list", "url": url, "has_more": len(data) > limit, "data": data[:limit]}

    def _rows(self, kind: str) -> Sequence[State | Event]:
        if kind not in self._kinds:
            raise ApiError(404, None, f"Unrecognized request URL (/v1/{kind}).", None)
        return self._kinds[kind]

    def _place(self, kind: str, object_id: str, param: str) -> int:
        place = self._places[kind].get(object_id)
        if place is None:
            raise _missing(kind, object_id, param)
        return place

    def _json(self, row: State | Event, expand: set[str], version: str) -> Json:
        if isinstance(row, Event):
            return event_json(row, version)
        body = object_json(row, version, livemode=self._books.livemode)
        shape, livemode = shape_of(version), self._books.livemode
        if "customer" in expand and body.get("customer"):
            customer = self._books.customers[body["customer"]]
            body["customer"] = object_json(customer, version, livemode=livemode)
        if isinstance(row, Charge) and "refunds" in expand:
            body["refunds"] = refunds_list(row, shape, livemode)
        if isinstance(row, Invoice) and shape.basil:
            if "payments" in expand:
                payment = self._books.invoice_payments.get(row.id)
                data = [object_json(payment, version, livemode=livemode)] if payment else []
                url = f"/v1/invoice_payments?invoice={row.id}"
                body["payments"] = {"object": "list", "data": data, "has_more": False, "url": url}
            if "amount_paid_off_stripe" in expand:
                body["amount_paid_off_stripe"] = row.paid_off_stripe
        return body


def _missing(kind: str, object_id: str, param: str) -> ApiError:
    return ApiError(404, "resource_missing", f"No such {kind.removesuffix('s')}: '{object_id}'", param)


def _array(query: Query, name: str) -> list[str]:
    return [value for key, value in query.items() if _ARRAY.sub("", key) == name and key != name]


def _number(query: Query, name: str, default: int, low: int, high: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise ApiError(400, "parameter_invalid_integer", f"Invalid integer for {name}: {text}", name)
    return int(text)


def _time_tests(query: Query) -> list[Callable[[Any], bool]]:
    tests: list[Callable[[Any], bool]] = []
    for name, compare in _COMPARE.items():
        param = f"created[{name}]" if name else "created"
        if query.get(param) is not None:
            tests.append(_created(compare, _number(query, param, 0, 0, 2**40)))
    return tests


def _created(compare: Callable[[int, int], bool], bound: int) -> Callable[[Any], bool]:
    return lambda row: compare(row.created, bound)


def _member(name: str, wanted: str) -> Callable[[Any], bool]:
    return lambda row: getattr(row, name, None) == wanted


def _member_tests(kind: str, query: Query) -> list[Callable[[Any], bool]]:
    """Filters by a member of the objects. As with Stripe, canceled subscriptions need `status=all`."""
    tests: list[Callable[[Any], bool]] = []
    for name in ("customer", "charge", "payment_intent", "invoice", "subscription", "collection_method"):
        if (wanted := query.get(name)) is not None:
            tests.append(_member(name, wanted))
    if (intent := query.get("payment[payment_intent]")) is not None:
        tests.append(lambda row: row.payment_intent == intent)
    status = query.get("status")
    if kind == "subscriptions" and status is None:
        tests.append(lambda row: row.status != "canceled")
    elif status is not None and status != "all":
        tests.append(lambda row: row.status == status)
    if kind == "events" and (types := {*_array(query, "types"), query.get("type")} - {None}):
        tests.append(lambda row: row.type in types)
    if kind == "customers" and (email := query.get("email")) is not None:
        tests.append(lambda row: row.email == email)
    return tests
