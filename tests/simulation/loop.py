"""An event loop whose clock jumps to whatever comes next, and processes that can be stopped between any two steps."""

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar, copy_context
from itertools import count
from typing import Any
from unittest.mock import patch

START = 1_767_225_600.0  # Unix seconds at which each history begins

_process: ContextVar["Process | None"] = ContextVar("process", default=None)


class Process:
    """What runs in one: every callback of the loop that was made by code of its own.

    `paused` is SIGSTOP: it goes on where it was. `kill` is SIGKILL: none of its code runs any more. `skew`: how many
    seconds its clock is ahead.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.skew = 0.0
        self.cut = False  # from the network
        self._paused = False
        self._held: list[asyncio.Handle] = []
        self._fuse: tuple[int, Callable[[], None]] | None = None

    @property
    def paused(self) -> bool:
        return self._paused

    def kill(self) -> None:
        self.alive = False
        self._held.clear()

    def pause(self) -> None:
        self._paused = True

    def resume(self, loop: "Loop") -> None:
        self._paused = False
        loop.ready.extendleft(reversed(self._held))
        self._held.clear()

    def after(self, steps: int, action: Callable[[], None]) -> None:
        """Call `action` before the step that comes after the next `steps`."""
        self._fuse = (steps, action)

    def admits(self, handle: asyncio.Handle) -> bool:
        """Whether this step may run now."""
        if self._fuse is not None and self.alive and not self._paused:
            steps, action = self._fuse
            self._fuse = (steps - 1, action) if steps else None
            if not steps:
                action()
        if self.alive and self._paused:
            self._held.append(handle)
        return self.alive and not self._paused


def here() -> Process | None:
    """The process whose code this is, None for the machine room itself."""
    return _process.get()


class Loop(asyncio.AbstractEventLoop):
    """Runs until one coroutine is done. `failures` are exceptions that nobody has looked after."""

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        self.ready: deque[asyncio.Handle] = deque()
        self.failures: list[dict[str, Any]] = []
        self.room: Context = copy_context()  # that of no process
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = count()
        self._over = False
        self._tasks: list[asyncio.Task[Any]] = []

    def run(self, main: Coroutine[Any, Any, Any], until: float) -> Any:
        """The result of `main`; TimeoutError when it is not done by `until` (seconds)."""
        asyncio._set_running_loop(self)
        try:
            task = self.create_task(main)
            while not task.done():
                while self.ready:
                    handle = self.ready.popleft()
                    if handle._cancelled:
                        continue
                    process = handle._context.get(_process)
                    if process is None or process.admits(handle):
                        self.steps += 1
                        handle._run()
                if task.done():
                    break
                while self._timers and self._timers[0][2]._cancelled:
                    heapq.heappop(self._timers)
                if not self._timers or self._timers[0][0] > until:
                    raise TimeoutError
                self.now = self._timers[0][0]
                while self._timers and self._timers[0][0] <= self.now:
                    self.ready.append(heapq.heappop(self._timers)[2])
            return task.result()
        finally:
            self._over = True
            self.ready.clear()
            self._timers.clear()
            for task in self._tasks:  # grows by what their ends begin
                if not task.done():
                    with suppress(Exception):
                        task.get_coro().close()
            asyncio._set_running_loop(None)

    def spawn(self, process: Process | None, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` as code of `process`."""
        context = copy_context()
        context.run(_process.set, process)
        return self.create_task(work, context=context)

    # --- what asyncio asks of a loop

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self._over

    def is_closed(self) -> bool:
        return False  # what is collected after the end finds a loop that does nothing

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self._over:
            self.ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + max(0.0, delay), callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if not self._over:
            heapq.heappush(self._timers, (when, next(self._count), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is left out when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        task._log_destroy_pending = False  # a killed process leaves some
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        process = _process.get()
        if not self._over and (process is None or process.alive):
            self.failures.append(context)


@contextmanager
def clocks_of(loop: Loop) -> Iterator[None]:
    """Python's clocks are the loop's; the one on the wall is each process's own."""

    def wall() -> float:
        process = _process.get()
        return START + loop.now + (process.skew if process is not None else 0.0)

    with (
        patch.object(time, "time", wall),
        patch.object(time, "monotonic", loop.time),
        patch.object(time, "perf_counter", loop.time),
    ):
        yield
