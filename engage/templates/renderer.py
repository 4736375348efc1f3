"""The process of templates as its parent sees it: started when it is needed, asked one thing at a time, replaced.

One for all libraries of this process. What a template did to it is that template's error; what happened to it without
one's fault (somebody ended it, the machine has no memory) is `Unavailable`, and may be tried again.
"""

import atexit
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from engage.templates import wire
from engage.templates.errors import Lack, MissingVariables, TemplateProblem
from engage.templates.limits import SECONDS
from schemas.errors import Unavailable

_START_WITHIN = 30.0  # seconds
_ANSWER_WITHIN = 20.0  # seconds on the clock, on a machine that has other things to do
_STRIKES = 3  # times in a row that a template ended the process, until it is not tried any more
_PAUSE = 60.0  # seconds; a template that was changed is tried at once
_OVERRAN = frozenset((signal.SIGPROF, signal.SIGVTALRM))
_BROKE = frozenset((signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE))
_AGAIN = "it is tried again; if it stays so, look at the machine's memory"


class _Ended(Exception):
    """The process ended, with this exit code, before it had answered."""

    def __init__(self, code: int) -> None:
        self.code = code


@dataclass(slots=True)
class _Strike:
    """How often in a row a template ended the process, when last, and what its files were like."""

    count: int
    at: float
    stamp: int
    error: TemplateProblem


class Renderer:
    """`ask` from any thread; the callers take turns."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._strikes: dict[tuple[object, ...], _Strike] = {}

    def ask(self, folders: tuple[str, ...], method: str, *args: Any, **kwargs: Any) -> Any:
        """What `Maker`'s method answers. Raises TemplateProblem as it does, and Unavailable."""
        request = pickle.dumps((folders, method, args, kwargs))
        key = (folders, args[0], kwargs.get("subject", ""), hash(kwargs.get("draft", "")))
        with self._lock:
            self._refuse(key)
            try:
                answer = self._answer(request, str(args[0]))
            except TemplateProblem as error:
                known = self._strikes.get(key)
                count = known.count + 1 if known else 1
                self._strikes[key] = _Strike(count, time.monotonic(), _stamp(folders), error)
                raise
            self._strikes.pop(key, None)
        return _told(answer)

    @property
    def pid(self) -> int:
        """Of the process, 0 while there is none."""
        return self._child.process.pid if self._child else 0

    def close(self) -> None:
        """End the process; the next question starts another."""
        with self._lock:
            if self._child is not None:
                self._child.end()
                self._child = None

    def _answer(self, request: bytes, name: str) -> bytes:
        """Of the process that is there; of a new one when that has gone, or goes, for no reason of ours."""
        begun = self._child is None
        child = self._child = self._child or _Child()
        try:
            return child.ask(request)
        except _Ended as ended:
            self._child = None
            error = _blame(ended.code, name)
        if begun or isinstance(error, TemplateProblem):
            raise error
        return self._answer(request, name)

    def _refuse(self, key: tuple[object, ...]) -> None:
        """Raises the last error of a template that has ended the process each time: others need it too."""
        known = self._strikes.get(key)
        if known is None or known.count < _STRIKES or time.monotonic() - known.at > _PAUSE:
            return
        if _stamp(key[0]) == known.stamp:  # type: ignore[arg-type]
            raise known.error


class _Child:
    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        environment = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ") if name in os.environ}
        try:
            with theirs:
                self.process: subprocess.Popen[bytes] = subprocess.Popen(
                    [sys.executable, "-m", "engage.templates.child"],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                    start_new_session=True,  # Ctrl-C is for the parent
                )
        except OSError as error:
            ours.close()
            raise Unavailable(f"the process that makes mails can't be started: {error}", remedy=_AGAIN) from None
        self._socket = ours
        ours.settimeout(_START_WITHIN)
        try:
            ready = wire.exactly(ours, len(wire.READY))
        except TimeoutError:
            ready = None
        if ready != wire.READY:
            raise Unavailable(f"the process that makes mails did not start ({self.end()})", remedy=_AGAIN)

    def ask(self, request: bytes) -> bytes:
        """Raises _Ended, Unavailable."""
        self._socket.settimeout(_ANSWER_WITHIN)
        try:
            self._socket.sendall(wire.framed(request))
            answer = wire.receive(self._socket)
        except TimeoutError:
            self.end()
            raise _Ended(-signal.SIGKILL) from None
        except ConnectionError:
            answer = None
        if answer is None:
            raise _Ended(self.end())
        return answer

    def end(self) -> int:
        """End it, if it has not ended by itself; its exit code."""
        self._socket.close()
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(2.0)
        self.process.kill()
        return self.process.wait()


def _blame(code: int, name: str) -> TemplateProblem | Unavailable:
    if -code in _OVERRAN:
        return TemplateProblem(f"more than {SECONDS:g} s of computing", template=f"{name}.html")
    if -code in _BROKE:
        return TemplateProblem("no mail can be made of its HTML: it is too large, or nested too deep", template=name)
    return Unavailable(f"the process that makes mails ended ({code}) while it made {name}", remedy=_AGAIN)


def _told(answer: bytes) -> Any:
    told = orjson.loads(answer)
    if "made" in told:
        return told["made"]
    if "lacks" in told:
        raise MissingVariables([Lack(**lack) for lack in told["lacks"]], template=told["template"])
    problem = told["problem"]
    raise TemplateProblem(
        problem["reason"], template=problem["template"], line=problem["line"], remedy=problem["remedy"]
    )


def _stamp(folders: tuple[str, ...]) -> int:
    """Another number when a file of the folders was changed."""
    found = (file for folder in folders for file in Path(folder).glob("*.*"))
    return hash(tuple(sorted((str(file), file.stat().st_mtime_ns) for file in found if file.is_file())))


_renderer = Renderer()
atexit.register(_renderer.close)


def shared() -> Renderer:
    """The one of this process."""
    return _renderer
