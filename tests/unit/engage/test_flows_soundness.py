"""A flow goes live only when its steps could act: what is wrong with its templates and addresses is named."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engage.flows.library import set_status
from engage.flows.model import Status
from schemas.errors import ConfigurationError
from tillstream.__main__ import app

FLOW = """
name: thanks
trigger: {metric: Successfully Paid}
steps:
  - id: mail
    email: {template: TEMPLATE, subject: "SUBJECT", reply_to: "REPLY"}
  - id: mark
    set_profile_property: {thanked: "VALUE"}
"""
SOUND = {"TEMPLATE": "receipt", "SUBJECT": "Thanks", "REPLY": "help@shop.example", "VALUE": "{{ event.Amount }}"}


def project(folder: Path, **changes: str) -> Path:
    text = FLOW
    for name, value in {**SOUND, **changes}.items():
        text = text.replace(name, value)
    (folder / "project" / "flows").mkdir(parents=True)
    (folder / "project" / "flows" / "thanks.yaml").write_text(text, "utf-8")
    return folder / "project"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TEMPLATE", "reciept", "step mail: there is no template 'reciept'; did you mean receipt?"),
        ("SUBJECT", "{{ event.Amount|money }}", "step mail: template subject, line 1: No filter named 'money'"),
        ("SUBJECT", "{{ first_name|default:'x' }}", "step mail: template subject, line 1: expected token"),
        ("REPLY", "help at shop", "step mail: reply_to: 'help at shop' is no mail address"),
        ("VALUE", "{{ event.Amount", "step mark: template thanked, line 1: unexpected end of template"),
    ],
)
def test_a_flow_that_could_not_act_does_not_go_live(tmp_path: Path, name: str, value: str, words: str) -> None:
    folder = project(tmp_path, **{name: value})
    for status in (Status.LIVE, Status.MANUAL):
        with pytest.raises(ConfigurationError) as caught:
            set_status(folder, "thanks", status)
        assert words in str(caught.value)
    assert "status" not in (folder / "flows" / "thanks.yaml").read_text("utf-8")
    set_status(folder, "thanks", Status.DRAFT)


def test_a_sound_flow_does(tmp_path: Path) -> None:
    set_status(project(tmp_path), "thanks", Status.LIVE)


def test_the_list_names_what_is_wrong_with_a_template(tmp_path: Path) -> None:
    templates = project(tmp_path) / "templates"
    templates.mkdir()
    (templates / "receipt.html").write_text("<p>\n{{ event.Amount|currncy }}</p>", "utf-8")
    done = CliRunner().invoke(app, ["flows", "list", "--json", "--data", str(tmp_path)])
    assert done.exit_code == 1
    problems = {each["flow"]: each["problem"] for each in json.loads(done.stdout)}
    assert "step mail: template receipt.html, line 2: No filter named 'currncy'" in problems["thanks"]
    assert "line 2: No filter named 'currncy'" in problems["invoice-receipt"]
    assert problems["card-expiring"] == ""
