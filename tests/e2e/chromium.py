"""A real Chromium, driven over its own DevTools protocol: pages are opened, clicked, typed into and photographed."""

import asyncio
import base64
import itertools
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.conftest import eventually


def chromium_command() -> str:
    """The browser's path. Debian's package is installed when there is none and we may; else a clear error."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(
            ["apt-get", "install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core"],
            check=False,
            capture_output=True,
            timeout=170,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        )
        if found := shutil.which("chromium"):
            return found
    raise AssertionError("no Chromium for the browser test: apt-get install chromium")


class Tab:
    """One tab; `problems` collects what the console of the browser complains about, such as the security policy."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.problems: list[str] = []

    async def listen(self) -> None:
        """Hands answers to who waits for them, until the tab is closed."""
        async for message in self._socket:
            content = message.json()
            if (waiter := self._waiting.pop(content.get("id", 0), None)) and not waiter.done():
                waiter.set_result(content)
            parameters = content.get("params", {})
            if content.get("method") == "Runtime.exceptionThrown":
                self.problems.append(str(parameters["exceptionDetails"]))
            elif content.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
                self.problems.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol; its result."""
        number = next(self._numbers)
        waiter = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        answer = await asyncio.wait_for(waiter, 30)
        assert "error" not in answer, answer
        return dict(answer["result"])

    async def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page; promises are awaited."""
        result = await self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def until(self, script: str, deadline: float = 15) -> None:
        """Waits until a JavaScript expression is true."""
        await eventually(lambda: self.run(f"Boolean({script})"), deadline)

    async def open(self, url: str) -> None:
        """Goes there, and waits until it is drawn."""
        await self.send("Page.navigate", url=url)
        await self.until(f"document.readyState === 'complete' && location.href.startsWith({url.split('#')[0]!r})")

    async def click(self, selector: str) -> None:
        """A click as by a person: the element must be there."""
        await self.run(f"document.querySelector({selector!r}).click()")

    async def type(self, selector: str, text: str) -> None:
        """Keys into a field."""
        await self.run(f"document.querySelector({selector!r}).focus()")
        await self.send("Input.insertText", text=text)

    async def look(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """How large the window is, and what the person prefers."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.send("Emulation.setEmulatedMedia", features=scheme)
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )

    async def photograph(self, path: Path) -> None:
        """The whole page as a PNG."""
        shot = await self.send("Page.captureScreenshot", captureBeyondViewport=True)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))


@asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Tab]:
    """A new Chromium with one tab; it is gone after the block."""
    command = [
        chromium_command(),
        "--headless=new",
        "--no-sandbox",  # the tests may run as root in a container
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--hide-scrollbars",
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
        "about:blank",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        announced = profile / "DevToolsActivePort"
        port = await eventually(lambda: int(announced.read_text().splitlines()[0]), 30)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                tabs = [tab for tab in await answer.json() if tab["type"] == "page"]
            async with session.ws_connect(tabs[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                tab = Tab(socket)
                listening = asyncio.create_task(tab.listen())
                try:
                    for domain in ("Page", "Runtime", "Log"):
                        await tab.send(f"{domain}.enable")
                    yield tab
                finally:
                    listening.cancel()
                    await asyncio.gather(listening, return_exceptions=True)
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
