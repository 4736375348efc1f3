"""A subscription: what is kept of it, and its rows. Source: Stripe, the Subscription and Price objects, and events.

The record:
    core, at, rank, told  the newest snapshot, as of a charge
    first             [at, rank, core]: the first one, which tells what it started with
    trials            {when the trial ends: [when that was told, core]}, of `customer.subscription.trial_will_end`
    resumed           {when: core}: it starts again, of `customer.subscription.resumed`
    odd               while some invoice tells other and newer metadata (see `belongings`)
A change of what it costs is a record of its own (kind `subscription_change`), which its event alone tells: an update
whose `previous_attributes` had another priced state, which is its items' prices and quantities, and its discounts.

The amount of all of these rows is what a period of the subscription comes to, before discounts and tax, as far as its
prices are fixed: metered and tiered ones are told by use, and a price of a longer interval than the shortest is no
part of the period. `AmountExcludes` names what is not in it.
"""

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from hashlib import blake2b
from typing import Any

from processors.rules import fields as f
from processors.rules import stripping
from processors.rules.fields import Obj
from processors.rules.lattice import HORIZON, RULES, Record, canonical, newer
from processors.rules.observation import Observation
from processors.rules.rows import Context, Row, row_of, with_origin
from schemas.errors import BadEvent
from schemas.metrics import Metric
from schemas.money import major
from schemas.times import rfc3339

#: Which of two states of one second is the later.
STATUS_RANK = {
    "incomplete": 0,
    "trialing": 1,
    "active": 2,
    "past_due": 3,
    "unpaid": 4,
    "paused": 5,
    "incomplete_expired": 6,
    "canceled": 7,
}
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
_NOT_STARTED = ("incomplete", "incomplete_expired")
_MOMENTS = (
    ("start", "start_date"),
    ("trial", "trial_start"),
    ("trial_end", "trial_end"),
    ("asked", "canceled_at"),
    ("ended", "ended_at"),
    ("cancels", "cancel_at"),
)
_CANCELLATION = (("why", "reason"), ("feedback", "feedback"), ("comment", "comment"))
_PRODUCT, _PRICE, _NAME, _QUANTITY, _UNIT, _INTERVAL, _COUNT, _KIND = range(8)  # of an item


def normalize(body: Obj, path: str) -> Record:
    """The fields that rows need. Raises BadEvent."""
    core: Record = {
        "status": f.opt(body, "status", path),
        "created": f.opt_moment(body, "created", path),
        "meta": f.metadata(body, path),
        **priced(body, path),
    }
    f.moments(body, _MOMENTS, path, core)
    f.texts(f.child(body, "cancellation_details", path), _CANCELLATION, f"{path}.cancellation_details", core)
    if f.flag(body, "cancel_at_period_end", path):
        core["at_end"] = True
    return core


def priced(body: Obj, path: str) -> Record:
    """What it costs: `items`, `currency` and `coupons`."""
    listed = f.listed(body, "items", path)
    items = [item_of(item, f"{path}.items.data.{n}") for n, item in enumerate(listed)]
    currency = body.get("currency")
    for item in listed if currency is None else ():  # until 2021 the prices alone told
        currency = (item.get("price") or item.get("plan") or {}).get("currency")
        break
    core: Record = {"items": items, "currency": f.currency({"currency": currency}, path) if currency else ""}
    if coupons := _coupons(body, path):
        core["coupons"] = coupons
    return core


def item_of(body: Obj, path: str) -> list[Any]:
    """An item as [product, price, name, quantity, unit amount, interval, how many, kind], the unit as decimal text."""
    price, plan = f.child(body, "price", path), f.child(body, "plan", path)
    told, at = (price, f"{path}.price") if price.get("recurring") else (plan, f"{path}.plan")
    if not told:
        told, at = price, f"{path}.price"
    period = f.child(told, "recurring", at) or told
    kind = "fixed"
    if f.opt(period, "usage_type", at) == "metered":
        kind = "metered"
    elif f.opt(told, "billing_scheme", at) == "tiered":
        kind = "tiered"
    unit = unit_of(told, at)
    packs = f.child(told, "transform_quantity", at) or f.child(told, "transform_usage", at)
    quantity = f.count(body, "quantity", path) if body.get("quantity") is not None else int(kind != "metered")
    if packs and kind == "fixed" and unit:
        unit = _text(Decimal(unit) * _packs(quantity, packs, at) / max(quantity, 1))
    return [
        f.reference(told, "product", at),
        f.opt(told, "id", at),
        f.opt(told, "nickname", at),
        quantity,
        unit if kind == "fixed" else "",
        f.opt(period, "interval", at),
        f.count(period, "interval_count", at) or 1,
        kind if unit or kind != "fixed" else "unknown",
    ]


def unit_of(price: Obj, path: str) -> str:
    """What one costs in minor units, which may have decimals; '' when it is not told."""
    for name in ("unit_amount_decimal", "amount_decimal", "unit_amount", "amount"):
        if (value := price.get(name)) is not None:
            break
    else:
        return ""
    try:
        number = Decimal(value) if type(value) in (int, str) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or not 0 <= number < 2**63:
        raise BadEvent("expected an amount", path=f"{path}.{name}")
    return _text(number)


def _text(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _packs(quantity: int, packs: Obj, path: str) -> int:
    size = f.count(packs, "divide_by", path) or 1
    return -(-quantity // size) if f.opt(packs, "round", path) == "up" else quantity // size


def _coupons(body: Obj, path: str) -> list[list[Any]]:
    """Discounts as [id, coupon, percent off, amount off], the last three as far as the shape tells them."""
    several = body.get("discounts") or []
    if not isinstance(several, list):
        raise BadEvent("expected a list", path=f"{path}.discounts")
    single = f.child(body, "discount", path)
    found = []
    for number, discount in enumerate(several if several else [single] if single else []):
        at = f"{path}.discounts.{number}"
        if not isinstance(discount, dict):
            found.append([f.text(discount, at), "", "", 0])
            continue
        source = f.child(discount, "source", at)
        coupon = discount.get("coupon") or source.get("coupon") or ""
        details = coupon if isinstance(coupon, dict) else {}
        percent = details.get("percent_off")
        found.append(
            [
                f.opt(discount, "id", at),
                f.opt(details, "id", at) if details else f.text(coupon, at),
                "" if percent is None else str(percent),
                f.amount(details, "amount_off", at, default=0),
            ]
        )
    return sorted(found)


def _digest(core: Record) -> str:
    """A name for what it costs, the same in all shapes: of a discount only its id counts where it has one."""
    coupons = [one[0] or one[1] for one in core.get("coupons", ())]
    told = [core["currency"], sorted([*item[:2], *item[3:]] for item in core["items"]), sorted(coupons)]
    return blake2b(canonical(told), digest_size=6).hexdigest()


def fold(record: Record, observation: Observation) -> bool:
    """Take in a subscription; True when anything new was learned. Raises BadEvent before any change."""
    at = observation.at
    core = stripping.spared(record, normalize(observation.body, observation.path))
    order = [STATUS_RANK.get(core["status"], 0), RULES]
    changed = newer(at, order, core, record)
    if changed:
        told = [observation.source, observation.api_version, observation.received_at]
        record |= {"core": core, "at": at, "rank": order, "told": told}
    first = record.get("first")
    if first is None or [at, order] < first[:2] or ([at, order] == first[:2] and canonical(core) < canonical(first[2])):
        record["first"] = [at, order, core]
        changed = True
    if observation.type == "customer.subscription.trial_will_end" and "trial_end" in core:
        changed |= _earliest(record.setdefault("trials", {}), str(core["trial_end"]), [at, core])
    if observation.type == "customer.subscription.resumed":
        changed |= _earliest(record.setdefault("resumed", {}), str(at), [at, core])
    return changed


def _earliest(into: Record, key: str, told: list[Any]) -> bool:
    known = into.get(key)
    if known is not None and (known[0], canonical(known[1])) <= (told[0], canonical(told[1])):
        return False
    into[key] = told
    return True


def knowledge(record: Record) -> int:
    """The sum that grows with everything learned (see `lattice`)."""
    earliest = [record["first"][0]] if "first" in record else []
    earliest += [at for name in ("trials", "resumed") for at, _ in record.get(name, {}).values()]
    return int(record["at"] + sum(HORIZON - at for at in earliest))


def change_of(observation: Observation) -> tuple[str, Record, list[Any]] | None:
    """(id of the change, state after it, [amount, its currency, first price, quantity] before), if there is one."""
    if observation.type != "customer.subscription.updated" or not observation.previous:
        return None
    previous, path = observation.previous, "data.previous_attributes"
    if not previous.keys() & {"items", "plan", "quantity", "discount", "discounts", "currency"}:
        return None
    now = normalize(observation.body, observation.path)
    then = priced(_before(observation.body, previous, path), path)
    if _digest(now) == _digest(then):
        return None
    amount, _ = recurring(then)
    item = then["items"][0] if then["items"] else ["", "", "", 0]
    before = [amount, then["currency"], item[_PRICE], sum(each[_QUANTITY] for each in then["items"])]
    return f"{observation.id}:{observation.at}:{_digest(now)}", now, before


def _before(body: Obj, previous: Obj, path: str) -> Obj:
    """The object as it was: previous attributes stand in their place, lists whole."""
    then = body | previous
    items = f.child(body, "items", "data.object")
    if "items" in previous:
        then["items"] = items | f.child(previous, "items", path)
    elif len(data := items.get("data") or []) == 1 and isinstance(data[0], dict):  # told at the top alone
        item = data[0] | {name: previous[name] for name in ("quantity",) if name in previous}
        if isinstance(plan := previous.get("plan"), dict):
            item = {name: value for name, value in item.items() if name != "price"}
            item["plan"] = f.child(data[0], "plan", path) | plan
        then["items"] = items | {"data": [item]}
    return then


def recurring(core: Record) -> tuple[int, list[str]]:
    """(minor units a period, what is not in it) of a priced state."""
    total, missing = Decimal(0), set()
    period = min(map(_days, core["items"]), default=0)
    for item in core["items"]:
        if item[_KIND] != "fixed":
            missing.add(item[_KIND])
        elif _days(item) != period:
            missing.add("other interval")
        else:
            total += Decimal(item[_UNIT]) * item[_QUANTITY]
    amount = int(total.to_integral_value(ROUND_HALF_UP))
    return min(amount, 2**63 - 1), sorted(missing)


def days_of(interval: str, how_many: int) -> int:
    """About how long so many intervals are."""
    return _DAYS.get(interval, 0) * how_many


def _days(item: list[Any]) -> int:
    return days_of(item[_INTERVAL], int(item[_COUNT]))


def rows(subscription_id: str, record: Record, context: Context) -> Iterator[Row]:
    """Subscription Started, once and when it is resumed; Subscription Canceled, when it has ended; Trial Ending.

    A subscription that was never paid for first (incomplete) has not started. What it started with is as it was first
    seen: of one that is imported, as it is now.
    """
    core = record.get("core", {})
    if "first" not in record or not core.get("currency") or not core["created"]:
        return  # kept by older rules, or too old a shape to tell what it costs
    if core["status"] not in _NOT_STARTED:
        first = record["first"][2]
        yield _row(Metric.SUBSCRIPTION_STARTED, "started", subscription_id, core["created"], first, context)
    for at, state in record.get("resumed", {}).values():
        name = f"{subscription_id}:{at}"
        yield _row(Metric.SUBSCRIPTION_STARTED, "started", name, at, state, context, {"Resumed": True})
    for ends, (at, state) in record.get("trials", {}).items():
        yield _row(Metric.TRIAL_ENDING, "trial_ending", f"{subscription_id}:{ends}", at, state, context)
    ended = core.get("ended") or core.get("asked")
    if core["status"] == "canceled" and ended:
        yield _row(Metric.SUBSCRIPTION_CANCELED, "canceled", subscription_id, ended, core, context)


def change_rows(change_id: str, record: Record, context: Context) -> Iterator[Row]:
    """Subscription Changed: what it costs now, and what it did before."""
    core, (amount, currency, price, quantity) = record["core"], record["before"]
    if not core["currency"]:
        return
    before = {
        "PreviousAmount": major(amount, currency or core["currency"]),
        "PreviousPrice": price,
        "PreviousQuantity": quantity or None,
    }
    yield _row(Metric.SUBSCRIPTION_CHANGED, "changed", change_id, record["at"], core, context, before)


def _row(metric: Metric, kind: str, name: str, at: int, core: Record, context: Context, more: Row | None = None) -> Row:
    currency = core["currency"]
    amount, missing = recurring(core)
    item = min(core["items"], key=_days, default=["", "", "", 0, "", "", 0, ""])  # the first of the period
    coupon = (core.get("coupons") or [["", "", "", 0]])[0]
    ends: Row = {}
    if metric is not Metric.SUBSCRIPTION_STARTED:  # of one that was imported later, that would be how it ended
        ends = {
            "status": core["status"],
            "CancelAtPeriodEnd": core.get("at_end"),
            "CancellationReason": core.get("why"),
            "CancellationFeedback": core.get("feedback"),
            "CancellationComment": core.get("comment"),
            **_told(core, ("CanceledAt", "asked"), ("CancelAt", "cancels"), ("EndedAt", "ended")),
        }
    properties = {
        "Subscription": name.partition(":")[0],
        "Product": item[_PRODUCT],
        "Price": item[_PRICE],
        "Plan": item[_NAME],
        "Quantity": sum(each[_QUANTITY] for each in core["items"]),
        "Interval": item[_INTERVAL],
        "IntervalCount": item[_COUNT],
        "AmountExcludes": ", ".join(missing),
        "Coupon": coupon[1] or coupon[0],
        "PercentOff": coupon[2],
        "AmountOff": major(coupon[3], currency) if coupon[3] else None,
        **_told(core, ("StartDate", "start"), ("TrialStart", "trial"), ("TrialEnd", "trial_end")),
        **ends,
        "Items": [
            {
                "Product": each[_PRODUCT],
                "Price": each[_PRICE],
                "Description": each[_NAME],
                "Quantity": each[_QUANTITY],
                "Amount": major(recurring({"items": [each]})[0], currency),
                "Currency": currency.upper(),
            }
            for each in core["items"]
        ],
        "metadata": with_origin({"subscription": core.get("meta")}, context),
        **(more or {}),
    }
    return row_of(
        metric,
        f"{context.prefix}{'' if kind == 'trial_ending' else 'subscription_'}{kind}:{name}",
        at,
        currency,
        amount,
        (),
        context,
        properties,
        {"reason_code": core.get("feedback", "") if metric is Metric.SUBSCRIPTION_CANCELED else ""},
    )


def _told(core: Record, *moments: tuple[str, str]) -> Row:
    return {name: rfc3339(core[short]) for name, short in moments if short in core}
