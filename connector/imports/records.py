"""The rows of `imports` in ClickHouse: how each import goes, for people and for `status`."""

from collections.abc import Iterable
from typing import Any

from connector.imports.progress import ENDED, Progress
from connector.state import StateLog
from schemas.errors import Unavailable
from schemas.times import rfc3339
from warehouse.client import Warehouse
from warehouse.tables import IMPORTS


def row(progress: Progress, now: float) -> dict[str, Any]:
    """The newest row of a resource's import."""
    return {
        "import_id": progress.import_id,
        "account": progress.account,
        "livemode": progress.livemode,
        "resource": progress.resource,
        "since": rfc3339(progress.since),
        "until": rfc3339(min(progress.until, progress.started_at)),  # what came later, its webhook told
        "state": progress.state.value,
        "objects": progress.objects,
        "started_at": rfc3339(progress.started_at),
        "updated_at": rfc3339(now),
        "finished_at": rfc3339(progress.finished_at) if progress.finished_at else None,
        "error": progress.error,
        "version": int(now * 1000),
    }


async def record(warehouse: Warehouse, imports: Iterable[Progress], now: float) -> str:
    """Write the rows; '' or why ClickHouse has not taken them, which must not hold up an import."""
    try:
        await warehouse.insert(IMPORTS.name, [row(progress, now) for progress in imports])
    except Unavailable as error:
        return str(error)
    return ""


async def record_again(state: StateLog, warehouse: Warehouse) -> None:
    """Write the rows of all imports that have ended, as they ended: ClickHouse may not have been there to be told.

    Changes nothing that is there already. Raises Unavailable.
    """
    known = [Progress.from_json(record) for record in (await state.read("import|")).values()]
    ended = [progress for progress in known if progress.state in ENDED]
    await warehouse.insert(IMPORTS.name, [row(progress, progress.updated_at) for progress in ended])
