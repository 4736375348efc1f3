"""Fetches the broker's jars, once per user: `python -m embedded.fetch`.

Maven copies what `pom.xml` pins into `${XDG_CACHE_HOME:-~/.cache}/tillstream/kafka-VERSION-DIGEST/`, where DIGEST is
that of the pom: another pin is another directory, and an existing directory is complete, since it appears by rename.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from schemas.errors import ConfigurationError

KAFKA_VERSION = "4.4.0"  # as in pom.xml; a test compares them
POM = Path(__file__).with_name("pom.xml")
_TIMEOUT = 15 * 60  # seconds; 43 MB on a slow line


def jars_directory() -> Path:
    """Where the jars are, or will be."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:8]
    return cache / "tillstream" / f"kafka-{KAFKA_VERSION}-{digest}"


def fetch() -> Path:
    """The directory of the jars, filled by Maven if it isn't there yet. Raises ConfigurationError."""
    target = jars_directory()
    if target.is_dir():
        return target
    maven = shutil.which("mvn")
    if maven is None:
        raise ConfigurationError("Maven is missing: it fetches Kafka's jars.", remedy="apt-get install maven")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".kafka-", dir=target.parent))
    except OSError as error:
        raise ConfigurationError(
            f"The cache {target.parent} can't be written: {error.strerror}.", remedy="set XDG_CACHE_HOME"
        ) from error
    try:
        _copy_dependencies(maven, temporary)
        temporary.chmod(0o755)
        try:
            temporary.rename(target)
        except OSError:
            if not target.is_dir():  # another process may have been first; its copy is as good
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _copy_dependencies(maven: str, target: Path) -> None:
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={target}"]
    command = [maven, "--batch-mode", "--quiet", "--file", str(POM), *goal]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError("Maven did not finish fetching Kafka's jars.", remedy=" ".join(command)) from error
    if done.returncode or not any(target.glob("kafka_2.13-*.jar")):
        cause = (done.stdout + done.stderr).strip().splitlines()
        raise ConfigurationError(
            f"Maven could not fetch Kafka's jars: {cause[0] if cause else f'exit code {done.returncode}'}",
            remedy=" ".join(command),
        )


def main() -> int:
    """Exit code 0 when the jars are there, 1 with the cause on stderr."""
    try:
        fetch()
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\nTry: {error.remedy}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
