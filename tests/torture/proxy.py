"""A TCP proxy that delays, cuts and goes silent, as networks do."""

import asyncio
import contextlib
import random
from types import TracebackType
from typing import Self


class FaultProxy:
    """Stands before one port of this machine; `port` is its own.

    Each connection belongs to one program, so that what befalls some connections befalls some of the programs.
    """

    def __init__(self, target: int, port: int, rng: random.Random) -> None:
        self.port = port
        self._target = target
        self._rng = rng
        self._delay = 0.0
        self._connections: dict[asyncio.Task[None], asyncio.Event] = {}  # open, and whether bytes may pass

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.close()
        self.cut(1.0)

    def cut(self, share: float) -> None:
        """Hang up on a share of all connections."""
        for connection in self._some(share):
            connection.cancel()

    async def delay(self, seconds: float, lasting: float) -> None:
        """Have whatever passes wait for so long."""
        self._delay = seconds
        await asyncio.sleep(lasting)
        self._delay = 0.0

    async def silence(self, share: float, lasting: float) -> None:
        """Half-open: what some connections send arrives nowhere, and nobody is told; then they are gone."""
        silent = self._some(share)
        for connection in silent:
            self._connections[connection].clear()
        await asyncio.sleep(lasting)
        for connection in silent:
            connection.cancel()

    def _some(self, share: float) -> list[asyncio.Task[None]]:
        return [connection for connection in self._connections if self._rng.random() < share]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        passing = self._connections[task] = asyncio.Event()
        passing.set()
        far: asyncio.StreamWriter | None = None
        try:
            back, far = await asyncio.open_connection("127.0.0.1", self._target)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(reader, far, passing))
                both.create_task(self._pass(back, writer, passing))
        except* (OSError, _Ended):
            pass
        except* asyncio.CancelledError:  # cut: the streams module would tell of it otherwise
            pass
        finally:
            del self._connections[task]
            for each in filter(None, (writer, far)):
                with contextlib.suppress(OSError):
                    each.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passing: asyncio.Event) -> None:
        while data := await reader.read(65536):
            if self._delay:
                await asyncio.sleep(self._delay)
            await passing.wait()
            writer.write(data)
            await writer.drain()
        raise _Ended


class _Ended(Exception):
    """One side has hung up."""
