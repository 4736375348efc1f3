"""Fetches the broker's jars, once per user: `python -m embedded.fetch`.

Maven copies what `pom.xml` pins into `${XDG_CACHE_HOME:-~/.cache}/tillstream/kafka-VERSION-DIGEST/`, where DIGEST is
that of the pom: another pin is another directory, and an existing directory is complete, since it appears by rename.
The tests have a pom of their own.
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


def jars_directory(pom: Path = POM, name: str = f"kafka-{KAFKA_VERSION}") -> Path:
    """Where the jars are, or will be."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:8]
    return cache / "tillstream" / f"{name}-{digest}"


def fetch(pom: Path = POM, name: str = f"kafka-{KAFKA_VERSION}") -> Path:
    """The directory of the jars, filled by Maven if it isn't there yet. Raises ConfigurationError."""
    target = jars_directory(pom, name)
    if target.is_dir():
        return target
    maven = shutil.which("mvn")
    if maven is None:
        raise ConfigurationError(f"Maven is missing: it fetches the jars of {name}.", remedy="apt-get install maven")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=target.parent))
    except OSError as error:
        raise ConfigurationError(
            f"The cache {target.parent} can't be written: {error.strerror}.", remedy="set XDG_CACHE_HOME"
        ) from error
    try:
        _copy_dependencies(maven, pom, temporary)
        temporary.chmod(0o755)
        try:
            temporary.rename(target)
        except OSError:
            if not target.is_dir():  # another process may have been first; its copy is as good
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _copy_dependencies(maven: str, pom: Path, target: Path) -> None:
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={target}"]
    command = [maven, "--batch-mode", "--quiet", "--strict-checksums", "--file", str(pom), *goal]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired as error:
        cause = f"Maven did not finish fetching the jars that {pom} names."
        raise ConfigurationError(cause, remedy=" ".join(command)) from error
    if done.returncode or not any(target.glob("*.jar")):
        lines = (done.stdout + done.stderr).strip().splitlines()
        cause = lines[0] if lines else f"exit code {done.returncode}"
        raise ConfigurationError(f"Maven could not fetch the jars that {pom} names: {cause}", remedy=" ".join(command))


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
