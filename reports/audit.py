"""Who had what done from the console, as the view `audit` has it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from reports.rows import read
from warehouse.client import Warehouse
from warehouse.query import Query

PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """`about` are pseudonyms of people. `outcome`: done, failed (`error` says why), or '' while it is not ended."""

    id: str
    at: datetime
    who: str
    way: str
    source: str
    action: str
    account: str
    about: list[str]
    detail: str
    outcome: str
    error: str
    ended_at: datetime | None


async def page(
    warehouse: Warehouse, person: str = "", before: datetime | None = None, last: str = ""
) -> tuple[list[Entry], Entry | None]:
    """The newest first, and the last of the page when there are more: the next one begins `before` its `at` and id.

    `person` is the pseudonym that the audit log has for somebody; '' for everybody. Raises Unavailable.
    """
    conditions, parameters = ["1"], dict[str, object]({"most": PAGE + 1})
    if person:
        conditions.append("has(about, {person:String})")
        parameters["person"] = person
    if before is not None:
        conditions.append("(at, id) < ({before:DateTime64(3, 'UTC')}, {last:String})")
        parameters |= {"before": before, "last": last}
    rows = await warehouse.rows(
        Query(
            "SELECT id, at, who, way, source, action, account, about, detail, outcome, error, ended_at\nFROM audit\n"
            f"WHERE {' AND '.join(conditions)}\nORDER BY at DESC, id DESC\nLIMIT {{most:UInt32}}",
            parameters,
        )
    )
    entries = [read(Entry, row) for row in rows]
    return entries[:PAGE], entries[PAGE - 1] if len(entries) > PAGE else None
