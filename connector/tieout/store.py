"""What tie-outs found, kept in ClickHouse: `tieouts`, a row a run, payout, day, currency and name."""

from collections import defaultdict
from datetime import datetime
from secrets import token_hex
from typing import Any, Final

from connector.tieout.facts import Tied, TieOut
from connector.tieout.money import Money
from connector.tieout.run import Answer
from schemas.times import rfc3339
from warehouse.client import Warehouse
from warehouse.tables import TIEOUTS

_NAMED: Final = 1_000  # ids kept a cell: beyond that a list helps nobody
_REMARK: Final = 2_000  # characters
BY_CONTENTS, BY_BALANCE, NO_TRANSACTION_YET = "payout by contents", "payout by balance", "no transaction yet"

Key = tuple[str, str, str, str, str]  # day, payout, currency, name, state


async def save(warehouse: Warehouse, answer: Answer, now: float) -> str:
    """Keep a tie-out; gives its id, '' for one that could not be checked. Raises Unavailable."""
    if answer.result is None or answer.money is None:
        return ""
    run_id = f"{rfc3339(now)}-{token_hex(3)}"
    base: dict[str, Any] = {
        "run_id": run_id,
        "account": answer.account,
        "livemode": answer.livemode,
        "timezone": answer.zone.key,
        "first_day": answer.first.isoformat(),
        "last_day": answer.last.isoformat(),
        "checked_at": rfc3339(now),
    }
    names = ("day", "payout_id", "currency", "name", "state")
    cells = cells_of(answer, answer.money, answer.result)
    rows = [base | dict(zip(names, key, strict=True)) | cell for key, cell in cells.items()]
    rows = rows or [base | {"day": answer.first.isoformat(), "state": Tied.TIED.value}]
    await warehouse.insert(TIEOUTS.name, rows)
    return run_id


def cells_of(answer: Answer, money: Money, result: TieOut) -> dict[Key, dict[str, Any]]:
    """By day, payout, currency, name and state: what the transactions of the days come to, and what does not tie."""
    cells: dict[Key, dict[str, Any]] = defaultdict(dict)

    def day(at: float) -> str:
        return datetime.fromtimestamp(at, answer.zone).date().isoformat()

    for line in money.lines:
        if answer.span.start <= line.created < answer.span.end:
            found = result.names[line.id]
            cell = cells[day(line.created), line.payout, line.currency, found.name, found.state.value]
            one = {"transactions": 1, "amount_minor": line.amount, "fee_minor": line.fee, "net_minor": line.net}
            for name, value in one.items():
                cell[name] = cell.get(name, 0) + value
    for payout in money.payouts:
        name = BY_CONTENTS if payout.automatic else BY_BALANCE
        state = result.payouts[payout.id].value
        taken = sum(line.payout == payout.id for line in money.lines)
        cells[day(payout.created), payout.id, payout.currency, name, state] = {
            "transactions": taken,
            "amount_minor": payout.amount,
        }
    for different in result.differences:
        at, name = different.at or answer.span.start, f"difference: {different.kind}"
        cell = cells[day(at), "", different.currency, name, Tied.DIFFERENT.value]
        cell["ids"] = [*cell.get("ids", ()), *different.ids][:_NAMED]
        cell["remark"] = "; ".join(filter(None, (cell.get("remark", ""), different.text)))[:_REMARK]
    if result.waiting_rows:
        key = (answer.last.isoformat(), "", "", NO_TRANSACTION_YET, Tied.PENDING.value)
        cells[key] = {"ids": list(result.waiting_rows[:_NAMED])}
    return cells
