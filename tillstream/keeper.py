"""Keeps one part running: starts it, asks it how it is, ends it when it hangs, and starts it again.

Whatever goes wrong is said (`state.reason`, the log) and tried again with a growing delay, for as long as it takes: a
disk that is full now may have room in an hour. Only a mistake that a person has to mend, found when the part is first
started, is raised: nobody may have seen the program work yet, and somebody is likely to look.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from doctor.health import SILENT, STARTING
from schemas.errors import ConfigurationError, TillstreamError
from settings.runtime import RoleState
from tillstream.child import Child, Say
from tillstream.parts import Part

_FIRST_DELAY, _LONGEST_DELAY = 0.25, 10.0  # seconds before a restart: doubles with every death
_HEALTHY_AFTER = 10.0  # seconds of being ready after which the delay begins anew
_MEND_FIRST = 2  # exit code of a role that a person has to configure
_PROBE_OFTEN, _PROBE_SELDOM = 0.1, 1.0  # seconds between probes: while it is starting, and later
_STARTING_SECONDS = 30.0
_LONGEST_PROBE = 5.0  # seconds: more than a probe takes, so what lies beyond was a pause of our own
_CAUSE = re.compile(r"\bcause=|^(Caused by: )?[\w.]+(Error|Exception): ")  # as roles log it, or a traceback has it
_ANY_ERROR = re.compile("error", re.IGNORECASE)

Gate = Callable[[], Awaitable[None]]


class Keeper:
    """One part of `up`; `state` is how it is now, `ready` is set while it can do its work."""

    def __init__(self, part: Part, say: Say) -> None:
        self.part = part
        self.state = RoleState()
        self.ready = asyncio.Event()
        self.child: Child | None = None
        self._say = say
        self._cause = ""  # of its last end, until it is ready again
        self._hung = ""

    async def keep(self, gate: Gate) -> None:
        """Start the part whenever it isn't running and `gate` has returned. Raises ConfigurationError."""
        delay, first = _FIRST_DELAY, True
        while True:
            await gate()
            began = time.monotonic()
            was_ready = await self._live(first)
            first = False
            if was_ready and time.monotonic() - began > _HEALTHY_AFTER:
                delay = _FIRST_DELAY
            self.state.reason = f"{self._cause}; starting again"
            self.state.restarts += 1
            self._say(self.part.name, f"{self._cause}; starting again in {delay:g} s")
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY)

    async def _live(self, first: bool) -> bool:
        """One life, from start to end; whether it was ever ready in it. `_cause` is why it ended."""
        part, state = self.part, self.state
        self._say(part.name, "starting")
        try:
            child = await Child.start(part, self._say)
        except ConfigurationError as error:
            if first and not part.optional:
                raise
            self._cause = str(error)
            return False
        except (TillstreamError, OSError) as error:  # no room on the disk, no memory for a process
            self._cause = f"can't be started: {error}"
            return False
        self.child, self._hung, state.pid = child, "", child.process.pid
        code = await child.wait()
        was_ready = self.ready.is_set()
        self.child, state.pid, state.ready = None, None, False
        self.ready.clear()
        if code == _MEND_FIRST and first and not was_ready and not part.optional:
            raise ConfigurationError(f"{part.name} can't start: {last_error(child)}")
        ended = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}: {last_error(child)}"
        self._cause = self._hung or ended
        return was_ready

    async def probe(self) -> None:
        """Keep `state` true to what the part says of itself, and end it when it has been silent for too long."""
        silent = 0.0
        of: Child | None = None
        while True:
            child = self.child
            if child is not of:
                of, silent = child, 0.0
            began = time.monotonic()
            if child is not None:
                reason = await self._ask(child.process.pid)
                if self.child is child:  # else it died meanwhile
                    self._hear(child, reason)
            await asyncio.sleep(self._pause(child))
            if child is None or self.child is not child:
                continue
            silent = silent + min(time.monotonic() - began, _LONGEST_PROBE) if reason in (SILENT, STARTING) else 0.0
            bound = self.part.silence if child.has_answered else self.part.starting_silence
            if silent > bound and not self._hung:
                self._hung = f"did not answer for {bound:.0f} s and was ended"
                child.kill()

    async def _ask(self, pid: int) -> str:
        try:
            return await self.part.probe(pid, self.state.ready)
        except Exception as error:  # a part must not end the others by an odd answer
            return f"its answer makes no sense: {error!r}"

    def _hear(self, child: Child, reason: str) -> None:
        state = self.state
        if reason not in (SILENT, STARTING):
            child.has_answered = True
        if reason and state.ready:
            self._say(self.part.name, f"not ready: {reason}")
        elif not reason and not state.ready:
            self._say(self.part.name, "ready")
        if not reason:
            self._cause = ""
            self.ready.set()
        state.ready = not reason
        state.reason = f"{self._cause}; starting again" if self._cause and not child.has_answered else reason
        with suppress(OSError):
            state.health_url = self.part.health_url()

    def _pause(self, child: Child | None) -> float:
        young = child is not None and time.monotonic() - child.started_at < _STARTING_SECONDS
        return _PROBE_OFTEN if child is None or (young and not self.state.ready) else _PROBE_SELDOM


def last_error(child: Child) -> str:
    """The line in which a dead child most likely named the cause."""
    for wanted in (_CAUSE, _ANY_ERROR):
        for line in reversed(child.last_words):
            if wanted.search(line):
                return line.strip()
    return child.last_words[-1].strip() if child.last_words else "it said nothing"
