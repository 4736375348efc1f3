"""The peer: supabase's stripe-sync-engine on PostgreSQL, in a server of a few lines (`peer.mjs`)."""

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

from embedded.child import die_with_parent, free_port
from embedded.fetch import jars_directory

PACKAGE = "@supabase/stripe-sync-engine@0.48.5"
STRIPE = "stripe@23.1.0"
_SERVER = Path(__file__).with_name("peer.mjs")


def missing() -> str:
    """'' when the peer can run here, else why not."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "Node is missing"
    if _binaries() is None:
        return "PostgreSQL is missing"
    return ""


@contextlib.asynccontextmanager
async def running_peer(directory: Path, secret: str) -> AsyncIterator[tuple[int, dict[str, int]]]:
    """Its port, and its processes by name; `directory` is for its data."""
    modules = await asyncio.to_thread(_install)
    async with _postgres(directory) as (url, postgres):
        node = subprocess.Popen(  # noqa: ASYNC220 -- die_with_parent ties it to the loop's thread
            ["node", str(_SERVER)],
            cwd=modules,
            env=os.environ | {"DATABASE_URL": url, "WEBHOOK_SECRET": secret, "NODE_ENV": "production"},
            stdout=subprocess.PIPE,
            preexec_fn=die_with_parent,
        )
        try:
            assert node.stdout is not None
            port = await asyncio.to_thread(node.stdout.readline)
            if not port:
                raise RuntimeError("the peer's server did not start")
            yield int(port), {"node": node.pid, "postgres": postgres}
        finally:
            node.terminate()
            await asyncio.to_thread(node.wait)


@contextlib.asynccontextmanager
async def _postgres(directory: Path) -> AsyncIterator[tuple[str, int]]:
    """A new server with its own defaults: its URL and its process."""
    binaries, port = _binaries(), free_port()
    assert binaries is not None, "whoever calls has asked `missing`"
    user = "postgres" if os.getuid() == 0 else None  # it refuses to run as root
    data = directory / "postgres"
    data.mkdir(0o700)
    if user:
        shutil.chown(data, user)
        os.chmod(directory, 0o711)
    initialize = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
    await asyncio.to_thread(subprocess.run, initialize, user=user, check=True, capture_output=True, cwd="/")
    server = subprocess.Popen(  # noqa: ASYNC220 -- as above
        [binaries / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", ""],
        user=user,
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )
    ready = [binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    try:
        async with asyncio.timeout(30):
            while (await asyncio.to_thread(subprocess.run, ready, check=False)).returncode:  # noqa: ASYNC110 -- its own
                await asyncio.sleep(0.1)
        yield f"postgres://postgres@127.0.0.1:{port}/postgres", server.pid
    finally:
        server.terminate()
        await asyncio.to_thread(server.wait)


def _binaries() -> Path | None:
    """Where PostgreSQL's programs are; Debian keeps them off the path."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return places[-1] if places else None


def _install() -> Path:
    """The directory that has the package, fetched by npm once per user, beside Kafka's jars."""
    version = PACKAGE.rpartition("@")[2]
    target = jars_directory().with_name(f"stripe-sync-engine-{version}")
    if not (target / "installed").exists():
        target.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE, STRIPE]
        subprocess.run([*install, "--prefix", str(target)], check=True, stdout=subprocess.DEVNULL)
        (target / "installed").touch()
    return target
