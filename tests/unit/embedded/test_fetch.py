"""The broker's jars: pinned, fetched once, never half there."""

import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from embedded import fetch, kafka
from schemas.errors import ConfigurationError

_MAVEN = {"m": "http://maven.apache.org/POM/4.0.0"}


def test_the_pom_pins_the_version_that_the_code_names() -> None:
    found = ElementTree.parse(fetch.POM).findall(".//m:dependency[m:artifactId='kafka_2.13']/m:version", _MAVEN)
    assert [version.text for version in found] == [fetch.KAFKA_VERSION]


def test_jars_that_are_there_are_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")  # no Maven
    fetch.jars_directory().mkdir(parents=True)
    assert fetch.fetch() == fetch.jars_directory()


def test_a_missing_maven_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigurationError, match="Maven is missing") as raised:
        fetch.fetch()
    assert raised.value.remedy == "apt-get install maven"


def test_a_failed_fetch_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text("#!/bin/sh\necho '[ERROR] no route to host'\nexit 1\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{maven.parent}:/bin:/usr/bin")
    with pytest.raises(ConfigurationError, match="no route to host"):
        fetch.fetch()
    assert list((tmp_path / "cache" / "tillstream").iterdir()) == []


def test_an_archive_of_classes_that_does_not_fit_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "half.jsa").write_bytes(b"\0" * 100)
    option = f"-XX:SharedArchiveFile={tmp_path / 'half.jsa'}"
    assert subprocess.run(["java", option, "-version"], capture_output=True, timeout=60, check=False).returncode == 0


def test_the_archive_is_of_this_java_and_these_jars() -> None:
    assert kafka.archive().parent == fetch.jars_directory().parent
    assert kafka.archive().name.startswith(f"{fetch.jars_directory().name}-java-{kafka.java_version()}.")
