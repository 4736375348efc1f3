"""Unsubscribe links that nobody could follow keep a flow from customers, and the page has an address that stays."""

import socket
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engage import mail_links
from schemas.errors import ConfigurationError
from schemas.hosts import is_internal
from settings.loading import load_settings
from tillstream.__main__ import app
from tillstream.parts import make_plan

ABROAD, HERE = "smtp+starttls://user:secret@smtp.provider.example:587", "smtp://127.0.0.1:25"
FLOW = "trigger: {metric: Successfully Paid}\nsteps:\n  - email: {template: receipt, subject: Thanks%s}\n"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "10.1.2.3", "192.168.0.9", "[::1]", "fe80::1", "localhost", "mail", "a.local", "", "0.0.0.0"],
)
def test_what_is_known_inside_only(host: str) -> None:
    assert is_internal(host)


@pytest.mark.parametrize("host", ["mail.shop.example", "8.8.8.8", "2606:4700::1111", "shop.com."])
def test_what_customers_can_reach(host: str) -> None:
    assert not is_internal(host)


def run(folder: Path, *arguments: str, to: str = "", **environment: str) -> Any:
    (folder / "project" / "flows").mkdir(parents=True, exist_ok=True)
    (folder / "project" / "flows" / "thanks.yaml").write_text(FLOW % (f", to: {to}" if to else ""), "utf-8")
    return CliRunner().invoke(app, [*arguments, "--data", str(folder)], env=environment)


def is_live(folder: Path) -> bool:
    return "status: live" in (folder / "project" / "flows" / "thanks.yaml").read_text("utf-8")


@pytest.mark.parametrize(
    "url", ["", "http://127.0.0.1:8084", "https://localhost", "http://192.168.1.5", "http://mail:8084"]
)
def test_a_flow_that_would_mail_customers_dead_links_does_not_go_live(tmp_path: Path, url: str) -> None:
    done = run(tmp_path, "flows", "live", "thanks", SMTP_URL=ABROAD, TILLSTREAM_UNSUBSCRIBE_URL=url)
    assert isinstance(done.exception, ConfigurationError)
    assert "'thanks' can't be live: TILLSTREAM_UNSUBSCRIBE_URL" in str(done.exception)
    assert done.exception.remedy.startswith("export TILLSTREAM_UNSUBSCRIBE_URL=https://mail.your.domain")
    assert "port 8084" in done.exception.remedy
    assert not is_live(tmp_path)


def test_with_an_address_that_customers_reach_it_does(tmp_path: Path) -> None:
    done = run(
        tmp_path, "flows", "live", "thanks", SMTP_URL=ABROAD, TILLSTREAM_UNSUBSCRIBE_URL="https://mail.shop.example"
    )
    assert (done.exit_code, is_live(tmp_path)) == (0, True), done.output
    assert "UNSUBSCRIBE" not in done.output


def test_where_mail_is_internal_it_does_with_a_warning(tmp_path: Path) -> None:
    done = run(tmp_path, "flows", "live", "thanks", SMTP_URL=HERE)
    assert (done.exit_code, is_live(tmp_path)) == (0, True), done.output
    assert "TILLSTREAM_UNSUBSCRIBE_URL is not set" in " ".join(done.output.split())


def test_mail_to_the_own_team_needs_no_link(tmp_path: Path) -> None:
    done = run(tmp_path, "flows", "live", "thanks", to="team@shop.example", SMTP_URL=ABROAD)
    assert (done.exit_code, is_live(tmp_path)) == (0, True), done.output
    assert "UNSUBSCRIBE" not in done.output


def test_doctor_is_told_of_live_flows_with_dead_links(tmp_path: Path) -> None:
    run(tmp_path, "flows", "live", "thanks", SMTP_URL=HERE)
    flow = tmp_path / "project" / "flows" / "thanks.yaml"
    flow.write_text(f"status: live\n{FLOW % ''}", "utf-8")
    found = mail_links.facts(load_settings({"SMTP_URL": ABROAD}, tillstream_data=tmp_path))
    assert found is not None
    assert (found.live, found.abroad) == (("thanks",), True)
    reached = {"SMTP_URL": ABROAD, "TILLSTREAM_UNSUBSCRIBE_URL": "https://mail.shop.example"}
    assert mail_links.facts(load_settings(reached, tillstream_data=tmp_path)) is None
    assert mail_links.facts(load_settings({}, tillstream_data=tmp_path)) is None


FREE = {f"tillstream_{name}_port": 0 for name in ("http", "console", "kafka", "clickhouse")}


def test_the_page_has_a_port_that_stays_unless_another_program_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        from settings.table import Settings

        assert Settings().tillstream_engage_port == 8084
        monkeypatch.setattr(Settings.model_fields["tillstream_engage_port"], "default", taken)
        Settings.model_rebuild(force=True)
        try:
            plan = make_plan(load_settings({}, tillstream_data=tmp_path, **FREE))
        finally:
            monkeypatch.undo()
            Settings.model_rebuild(force=True)
        assert plan.settings.tillstream_engage_port not in (0, taken)
        [notice] = plan.notices
        assert f"port {taken} of the page behind unsubscribe links is taken" in notice
        assert "export TILLSTREAM_ENGAGE_PORT" in notice
        with pytest.raises(ConfigurationError, match=f"port {taken} on 127.0.0.1 is taken") as caught:
            make_plan(load_settings({"TILLSTREAM_ENGAGE_PORT": str(taken)}, tillstream_data=tmp_path, **FREE))
        assert "TILLSTREAM_ENGAGE_PORT" in caught.value.remedy
    free = make_plan(load_settings({"TILLSTREAM_ENGAGE_PORT": "0"}, tillstream_data=tmp_path, **FREE))
    assert free.settings.tillstream_engage_port
    assert free.notices == ()
