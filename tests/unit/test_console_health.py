"""The verdict says what is wrong, and never green when something is."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from console.health import Arrivals, Light, not_ready, verdict

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
FINE = Arrivals(last_received=NOW - timedelta(minutes=3), last_hour=4, dead_letters=0, unlinked=2)


def test_green_when_events_come_and_all_runs() -> None:
    assert verdict(FINE, {}, NOW).light is Light.GREEN


def test_waiting_before_the_first_event() -> None:
    assert verdict(Arrivals(None, 0, 0, 0), {}, NOW).light is Light.WAITING


def test_waiting_for_somebody_to_connect_is_no_failure() -> None:
    down = {"ingest": "no webhook signing secret yet: tillstream connect, or set STRIPE_WEBHOOK_SECRET"}
    nothing = Arrivals(None, 0, 0, 0)
    assert verdict(nothing, down, NOW).light is Light.WAITING
    assert verdict(nothing, down | {"sink": "away"}, NOW).light is Light.RED
    assert verdict(FINE, down, NOW).light is Light.RED


def test_amber_names_dead_letters_and_the_command_that_shows_them() -> None:
    judged = verdict(Arrivals(NOW, 4, 1, 0), {}, NOW)
    assert judged.light is Light.AMBER
    assert judged.reasons == ("1 message could not be used; next: tillstream deadletters",)


def test_amber_when_nothing_has_come_for_a_day() -> None:
    judged = verdict(Arrivals(NOW - timedelta(hours=25), 0, 0, 0), {}, NOW)
    assert judged.light is Light.AMBER
    assert "25 hours ago" in judged.reasons[0]


def test_red_names_the_part_that_is_down() -> None:
    judged = verdict(FINE, {"sink": "ClickHouse does not answer"}, NOW)
    assert judged.light is Light.RED
    assert judged.reasons[0] == "sink is not ready: ClickHouse does not answer"


@pytest.mark.parametrize(
    ("content", "down"),
    [
        (
            '{"roles": {"sink": {"ready": false, "reason": "starting"}, "ingest": {"ready": true}}}',
            {"sink": "starting"},
        ),
        ('{"roles": {"sink": {"ready": false}}}', {"sink": "not ready"}),
        ('{"roles": {"si', {}),
        ('{"roles": [1]}', {}),
        ("[]", {}),
    ],
)
def test_runtime_json_is_read_with_care(tmp_path: Path, content: str, down: dict[str, str]) -> None:
    path = tmp_path / "runtime.json"
    path.write_text(content)
    assert not_ready(path) == down
    assert not_ready(tmp_path / "missing.json") == {}
    assert not_ready(None) == {}
