"""The tie-out of one account, as people ask for it: which days, in whose timezone, and what came of it."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from connector.tieout.facts import Span, Tied, TieOut
from connector.tieout.money import Known, Money, known, money
from connector.tieout.rules import tie
from schemas.errors import ConfigurationError
from schemas.times import rfc3339
from warehouse.client import Warehouse

DAYS: Final = 30
UNCHECKED: Final = "unchecked"
_SWEEPS: Final = 2  # what is younger than so many may be on its way


@dataclass(frozen=True, slots=True)
class Answer:
    """One account's tie-out of the days `first` to `last`; without a `result` it is not checked, and `why` says why."""

    account: str
    livemode: bool
    zone: ZoneInfo
    first: date
    last: date
    span: Span
    money: Money | None = None
    result: TieOut | None = None
    why: str = ""

    @property
    def state(self) -> str:
        """tied, pending, different or unchecked."""
        return self.result.state.value if self.result else UNCHECKED


async def tie_out(
    warehouse: Warehouse,
    account: str,
    livemode: bool,
    zone: ZoneInfo,
    days: tuple[date | None, date | None],
    sweep_seconds: float,
    now: float,
) -> Answer:
    """Tie the days (None: the 30 until yesterday). Asks ClickHouse alone.

    Raises ConfigurationError for days that make no sense, and Unavailable.
    """
    first, last = chosen_days(*days, zone, now)
    found: Known = await known(warehouse, account, livemode)
    start = datetime.combine(first, time.min, zone).timestamp()
    end = datetime.combine(last + timedelta(days=1), time.min, zone).timestamp()
    span = Span(start, end, found.since, found.until - _SWEEPS * sweep_seconds)
    if found.unchecked:
        return Answer(account, livemode, zone, first, last, span, why=found.unchecked)
    facts = await money(warehouse, account, livemode, span)
    result = tie(facts.lines, facts.rows, facts.payouts, facts.balances, span)
    return Answer(account, livemode, zone, first, last, span, facts, result)


def chosen_days(first: date | None, last: date | None, zone: ZoneInfo, now: float) -> tuple[date, date]:
    """The 30 whole days until yesterday in `zone`, unless others are asked for. Raises ConfigurationError."""
    last = last or datetime.fromtimestamp(now, zone).date() - timedelta(days=1)
    first = first or last - timedelta(days=DAYS - 1)
    if first > last:
        raise ConfigurationError(f"--since {first} comes after --until {last}", remedy="tillstream tieout --help")
    return first, last


Sum = tuple[str, str, str]  # name, state, currency


def sums(answer: Answer) -> dict[Sum, list[int]]:
    """By name, state and currency: how many transactions of the days there are, and amount, fee and net of them."""
    found: dict[Sum, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    if answer.result is None or answer.money is None:
        return found
    for line in answer.money.lines:
        if answer.span.start <= line.created < answer.span.end:
            name = answer.result.names[line.id]
            cell = found[name.name, name.state.value, line.currency]
            for place, value in enumerate((1, line.amount, line.fee, line.net)):
                cell[place] += value
    return dict(sorted(found.items()))


def as_json(answer: Answer, run_id: str = "") -> dict[str, Any]:
    """The whole answer for programs; money in minor units, a stable shape."""
    result, facts = answer.result, answer.money
    states = list(result.payouts.values()) if result else []
    return {
        "account": answer.account,
        "livemode": answer.livemode,
        "state": answer.state,
        "unchecked": answer.why,
        "since": answer.first.isoformat(),
        "until": answer.last.isoformat(),
        "timezone": answer.zone.key,
        "run_id": run_id,
        "names": [
            {
                "name": name,
                "state": state,
                "currency": currency,
                "transactions": count,
                "amount_minor": amount,
                "fee_minor": fee,
                "net_minor": net,
            }
            for (name, state, currency), (count, amount, fee, net) in sums(answer).items()
        ],
        "payouts": {state.value: states.count(state) for state in Tied},
        "balances": [
            {
                "currency": one.currency,
                "opening_minor": one.opening,
                "transactions_minor": one.transactions,
                "closing_minor": one.closing,
                "at": rfc3339(one.at),
            }
            for one in (facts.balances if facts else ())
        ],
        "rows_without_transaction": {
            "outside_stripe": result.outside if result else 0,
            "pending": list(result.waiting_rows) if result else [],
        },
        "differences": [
            {"kind": one.kind, "ids": list(one.ids), "text": one.text, "currency": one.currency}
            for one in (result.differences if result else ())
        ],
    }
