"""Somebody is told when the light is red for long, and when it no longer is: once a change, whatever is restarted."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from console.alerts import Alerts
from doctor.alerting import Told, due, looked
from schemas.verdict import Finding, Light, Severity, Verdict, verdict
from settings.browser import USED_BY
from tests.postbox import Postbox, postbox

RED = verdict(
    [
        Finding("kafka", Severity.ERROR, "Kafka <b> does not answer", "tillstream up"),
        Finding("x", Severity.HINT, "a hint", ""),
    ]
)
GREEN, WAITING = verdict([]), verdict([Finding("new", Severity.WAITING, "no event has come", "send one")])


def told(*lights: Light, minutes: float = 5, every: float = 60) -> list[str]:
    """What is told, by minute, while the light goes so."""
    state, said = Told(), []
    for number, light in enumerate(lights):
        now = number * every
        state = looked(state, light, now)
        red, over = due(state, ["mail"], minutes, now)
        if red or over:
            said.append(f"{number}: {'red' if red else 'over'}")
            state = Told(state.since, {"mail": bool(red)})
    return said


def test_red_is_told_after_its_minutes_once_and_so_is_its_end() -> None:
    red, green, waiting = Light.RED, Light.GREEN, Light.WAITING
    assert told(*[red] * 5) == []
    assert told(*[red] * 30) == ["5: red"]
    assert told(*[red] * 9, Light.AMBER, *[green] * 9) == ["5: red", "9: over"]
    assert told(*[red, red, red, green] * 9) == []  # never long enough at a stretch
    assert told(*[red] * 7, waiting, waiting, *[red] * 9, green) == ["5: red", "18: over"]  # a restart says nothing
    assert told(*[green] * 9, *[red] * 6, green, *[red] * 6) == ["14: red", "15: over", "21: red"]
    assert told(red, green, minutes=0) == ["0: red", "1: over"]


class Receiver:
    """A real HTTP receiver; `status` is what it answers."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, dict[str, object]]] = []
        self.status = 200

    async def take(self, request: web.Request) -> web.Response:
        if self.status == 200:
            self.bodies.append((request.path, json.loads(await request.read())))
        return web.Response(status=self.status)


@pytest.fixture
async def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    for name in USED_BY:
        monkeypatch.delenv(name.upper(), raising=False)
    found = Receiver()
    app = web.Application()
    app.router.add_post("/{way}", found.take)
    async with TestServer(app) as server:
        monkeypatch.setenv("TILLSTREAM_ALERT_WEBHOOK", str(server.make_url("/hook")))
        monkeypatch.setenv("TILLSTREAM_ALERT_SLACK", str(server.make_url("/slack")))
        monkeypatch.setenv("TILLSTREAM_ALERT_MINUTES", "5")
        yield found


@pytest.fixture
async def box(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Postbox]:
    async with postbox() as found:
        monkeypatch.setenv("SMTP_URL", found.url)
        monkeypatch.setenv("TILLSTREAM_MAIL_FROM", "Tillstream <tillstream@shop.example>")
        monkeypatch.setenv("TILLSTREAM_ALERT_MAIL", "ops@shop.example, boss@shop.example")
        yield found


class Time:
    """The verdict and the time, as a test sets them."""

    def __init__(self, data: Path) -> None:
        self.verdict, self.now, self.data = RED, 1_767_225_600.0, data

    async def look(self, minutes: float) -> None:
        """By a console that was started anew."""
        self.now += minutes * 60
        alerts = Alerts(self.data, self._judge, lambda: self.now)
        await alerts.look()
        await alerts.close()

    async def _judge(self) -> Verdict:
        return self.verdict


async def test_it_goes_out_by_mail_webhook_and_slack_once_a_change(
    receiver: Receiver, box: Postbox, tmp_path: Path
) -> None:
    time = Time(tmp_path)
    await time.look(0)
    await time.look(4)
    assert (receiver.bodies, box.mails) == ([], [])
    for minutes in (1, 1, 1, 60):
        await time.look(minutes)
    assert [str(mail["To"]) for mail in box.mails] == ["ops@shop.example", "boss@shop.example"]
    mail = box.mails[0]
    assert mail["Subject"] == "Tillstream is red: 1 thing does not work"
    assert "- Kafka <b> does not answer\r\n  Next: tillstream up" in mail.get_content()
    assert "a hint" not in mail.get_content()
    hook, slack = receiver.bodies
    assert (hook[0], hook[1]["event"], hook[1]["light"], hook[1]["since"]) == (
        "/hook",
        "red",
        "red",
        "2026-01-01T00:00:00+00:00",
    )
    assert slack[0] == "/slack"
    assert set(slack[1]) == {"text"}
    assert "Kafka &lt;b&gt; does not answer" in str(slack[1]["text"])
    time.verdict = WAITING
    await time.look(1)
    assert len(box.mails) == 2
    time.verdict = GREEN
    for _ in range(3):
        await time.look(1)
    assert [str(mail["Subject"]) for mail in box.mails[2:]] == ["Tillstream is no longer red: complete and correct"] * 2
    assert [body["event"] for path, body in receiver.bodies if path == "/hook"] == ["red", "over"]
    assert len(receiver.bodies) == 4


async def test_what_was_not_taken_is_tried_again_and_nothing_is_told_twice(receiver: Receiver, tmp_path: Path) -> None:
    time, receiver.status = Time(tmp_path), 503
    for minutes in (0, 5, 1):
        await time.look(minutes)
    receiver.status = 200
    await time.look(1)
    await time.look(1)
    assert [path for path, _ in receiver.bodies] == ["/hook", "/slack"]
    assert (tmp_path / "console" / "alerts.json").stat().st_mode & 0o077 == 0


async def test_a_file_that_somebody_broke_begins_anew(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "console").mkdir()
    (tmp_path / "console" / "alerts.json").write_text('{"since": "long ago", "red": [1]}')
    time = Time(tmp_path)
    for minutes in (0, 5):
        await time.look(minutes)
    assert len(receiver.bodies) == 2
