"""One child process of the supervisor: started, listened to, ended."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from embedded.child import die_with_parent
from settings.needs import inherited
from tillstream.parts import Part

Say = Callable[[str, str], None]  # (part's name, line)

_LINE_LIMIT = 1024 * 1024
_LAST_WORDS = 20


class Child:
    """A running `Part`. It is the leader of a session of its own, so that Ctrl-C reaches the supervisor alone."""

    def __init__(self, part: Part, process: asyncio.subprocess.Process, say: Say) -> None:
        self.part = part
        self.process = process
        self.started_at = time.monotonic()
        self.last_words: list[str] = []
        self.has_answered = False  # any probe at all
        self._say = say
        self._listener = asyncio.create_task(self._listen(), name=f"listen-{part.name}")

    @classmethod
    async def start(cls, part: Part, say: Say) -> "Child":
        """Raises ConfigurationError when the part's command can't be made, OSError when it can't be run."""
        argv = await asyncio.to_thread(part.command)  # may format a broker's storage
        process = await asyncio.create_subprocess_exec(
            *argv,
            env={**inherited(part.name), "PYTHONUNBUFFERED": "1", **part.environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LINE_LIMIT,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        return cls(part, process, say)

    async def wait(self) -> int:
        """Its exit code, after its last line was passed on."""
        code = await self.process.wait()
        with suppress(TimeoutError):  # a grandchild could keep the pipe open
            async with asyncio.timeout(1):
                await asyncio.shield(self._listener)
        self._listener.cancel()
        return code

    async def stop(self, hurry: asyncio.Event) -> None:
        """Ask it to drain; kill it after `part.drain` seconds, or as soon as `hurry` is set."""
        self._signal(signal.SIGTERM)
        ended = asyncio.create_task(self.process.wait())
        hurried = asyncio.create_task(hurry.wait())
        await asyncio.wait({ended, hurried}, timeout=self.part.drain, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not ended.done():
            if not hurry.is_set():
                self._say(self.part.name, f"did not end within {self.part.drain:.0f} s: killed")
            self.kill()
        await ended

    def kill(self) -> None:
        """kill -9 of the child and whatever it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)

    async def _listen(self) -> None:
        assert self.process.stdout is not None
        while True:
            try:
                line = await self.process.stdout.readline()
            except ValueError:  # longer than the limit; what was read is dropped
                continue
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip()
            if text and not text[0].isspace():  # of a traceback what it is about, not where it was
                self.last_words = [*self.last_words[1 - _LAST_WORDS :], text]
            self._say(self.part.name, text)
