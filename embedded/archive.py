"""An archive of the broker's classes, made once per Java: `python -m embedded.archive`.

With it the broker starts with half of the CPU time, since the JVM finds the classes loaded and verified (class data
sharing). The JVM ignores an archive that doesn't fit, and so does a Java that none was made for.
"""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from embedded import kafka
from embedded.child import die_with_parent
from schemas.errors import TillstreamError

_STOP_TIMEOUT = 60.0  # seconds: the archive is written at the end


async def make() -> Path:
    """The archive, written by a broker that runs for a moment if it isn't there yet. Raises TillstreamError."""
    target = kafka.archive()
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(prefix=".archive-", dir=target.parent) as folder:
        data, made = Path(folder) / "kafka", Path(folder) / target.name
        java, *arguments = await asyncio.to_thread(kafka.command, data, 0)
        argv = [java, f"-XX:ArchiveClassesAtExit={made}", *arguments]
        broker = subprocess.Popen(  # noqa: ASYNC220 -- started from the loop's thread: see die_with_parent
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
        )
        try:
            await kafka.wait_ready(kafka.bootstrap(data))
            broker.terminate()
            await asyncio.to_thread(broker.wait, _STOP_TIMEOUT)
        finally:
            broker.kill()
            broker.wait()
        made.rename(target)
    return target


def main() -> int:
    """Exit code 0 in any case: without an archive the broker only starts more slowly."""
    try:
        asyncio.run(make())
    except (TillstreamError, OSError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(
            f"No archive of Kafka's classes: {error}. The broker works without it, and starts more slowly.\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
