"""runtime.json as commands find it: left behind, damaged, or written by another version."""

import json
import os
from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from settings.runtime import running, runtime_path

WHOLE = {
    "pid": os.getpid(),
    "started_at": "2026-11-29T20:00:00+00:00",
    "http_url": "http://127.0.0.1:8080",
    "kafka_bootstrap": "127.0.0.1:9092",
    "clickhouse_url": "http://127.0.0.1:8123",
    "clickhouse_user": "default",
    "database": "tillstream",
    "topic_prefix": "",
    "roles": {"sink": {"pid": 1, "ready": True}},
}


def test_what_a_newer_version_adds_is_no_hindrance(tmp_path: Path) -> None:
    newer = WHOLE | {"moon": "full", "roles": {"sink": {"ready": True, "mood": "fine"}}}
    runtime_path(tmp_path).write_text(json.dumps(newer), "utf-8")
    assert running(tmp_path).roles["sink"].ready


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (json.dumps(WHOLE)[:100], "is damaged"),
        ("", "is damaged"),
        ("[]", "is damaged"),
        (json.dumps({name: value for name, value in WHOLE.items() if name != "database"}), "see database"),
        (json.dumps(WHOLE | {"pid": "many"}), "see pid"),
        (json.dumps(WHOLE | {"pid": 2**22 + 1}), "has ended"),
    ],
    ids=["half", "empty", "no-object", "of-another-version", "no-pid", "left-behind"],
)
def test_a_file_of_which_nothing_can_be_made_is_told_with_the_next_step(
    tmp_path: Path, content: str, told: str
) -> None:
    runtime_path(tmp_path).write_text(content, "utf-8")
    with pytest.raises(ConfigurationError, match=told) as caught:
        running(tmp_path)
    assert f"tillstream up --data {tmp_path}" in caught.value.remedy


def test_where_there_is_no_file_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing runs"):
        running(tmp_path)
