"""Who may run what: each statement is judged once, by the engine's own reading of it, and remembered by its text."""

import re
import threading
from collections import OrderedDict
from typing import Final

from embedded.clickhouse.engine import Engine, quote
from embedded.clickhouse.errors import ACCESS_DENIED, BAD_ARGUMENTS, READONLY, QueryFailed
from embedded.clickhouse.outside import (
    READING,
    Registry,
    Verdict,
    judge,
    refused_identifier,
    refused_setting,
)
from embedded.clickhouse.request import Ask

_REMEMBERED: Final = 2_000  # statements
_LONGEST_REMEMBERED: Final = 16 * 1024  # characters
_ASIDE: Final = re.compile(r": In scope SELECT formatQuery\(.*\)\. \(", re.DOTALL)


class Guard:
    """Blocks, and may be asked from any thread. Every refusal is a QueryFailed, as a server would give it."""

    def __init__(self, engine: Engine) -> None:
        self._asking = threading.Lock()
        self._connection = engine.connect()
        self._connection.execute("SET max_query_size = 0")
        sources = self._names(
            "SELECT name FROM system.table_functions UNION ALL SELECT name FROM system.table_engines "
            "UNION ALL SELECT name FROM system.database_engines"
        )
        settings = self._names("SELECT name FROM system.settings WHERE type IN ('String', 'URI', 'Map')")
        self._known = Registry(sources, settings)
        self._verdicts: OrderedDict[str, Verdict] = OrderedDict()

    def admit(self, text: str, ask: Ask) -> str:
        """The statement's kind, such as SELECT. Raises QueryFailed for one that reaches outside or may not change."""
        verdict = self._verdict(text)
        refused = verdict.refused or next((name for name in ask.settings if refused_setting(name, self._known)), "")
        if not refused and refused_identifier(ask.database):
            refused = ask.database
        for name in verdict.identifiers if not refused else ():
            refused = ask.params.get(name, "") if refused_identifier(ask.params.get(name, "")) else refused
        if refused:
            cause = f"default: Not enough privileges. {refused} would reach out of this engine's own data"
            raise QueryFailed.of(ACCESS_DENIED, cause)
        if ask.read_only and verdict.kind not in READING:  # the engine itself would let SYSTEM and KILL pass
            raise QueryFailed.of(READONLY, f"{ask.user}: Cannot execute query in readonly mode.")
        return verdict.kind

    def close(self) -> None:
        """Lets go of its connection."""
        self._connection.close()

    def _verdict(self, text: str) -> Verdict:
        found = self._verdicts.get(text)
        if found is not None:
            return found
        with self._asking:
            verdict = judge(self._canonical(text), self._known)
            if len(text) <= _LONGEST_REMEMBERED:
                self._verdicts[text] = verdict
                if len(self._verdicts) > _REMEMBERED:
                    self._verdicts.popitem(last=False)
        return verdict

    def _canonical(self, text: str) -> str:
        if "\0" in text:
            raise QueryFailed.of(BAD_ARGUMENTS, "The statement holds a zero byte")
        try:
            written = self._connection.execute(f"SELECT formatQuery({quote(text)})", "TSVRaw").body
        except QueryFailed as error:
            raise QueryFailed(error.code, _ASIDE.sub(". (", str(error))) from None
        return written.decode(errors="replace")

    def _names(self, query: str) -> frozenset[str]:
        return frozenset(self._connection.execute(query, "TSVRaw").body.decode().lower().split())
