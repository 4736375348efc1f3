"""The files of flows: the project's over the shipped ones, a status changed in place, mistakes that stay alone."""

from pathlib import Path

import pytest

from engage.flows.library import READY, Flows, find, get, set_status, with_status
from engage.flows.model import Status
from engage.flows.reading import parse
from schemas.errors import ConfigurationError

FLOW = """# why there is this flow
title: Ours   # for people
trigger: {metric: Failed Payment}
steps: [exit]
"""


def write(folder: Path, name: str, text: str) -> None:
    (folder / "flows").mkdir(exist_ok=True)
    (folder / "flows" / f"{name}.yaml").write_text(text, "utf-8")


def test_every_shipped_flow_can_be_read_and_is_a_draft(tmp_path: Path) -> None:
    found = find(tmp_path)
    assert set(found) == {path.stem for path in READY.glob("*.yaml")}
    assert {file.flow.status for file in found.values() if file.flow} == {Status.DRAFT}
    assert all(file.shipped and not file.problem for file in found.values())


def test_a_projects_file_takes_the_place_of_a_shipped_one(tmp_path: Path) -> None:
    write(tmp_path, "invoice-receipt", FLOW)
    found = find(tmp_path)["invoice-receipt"]
    assert found.flow is not None
    assert (found.flow.title, found.shipped) == ("Ours", False)


def test_a_shipped_flow_goes_live_as_a_copy_in_the_project(tmp_path: Path) -> None:
    path = set_status(tmp_path, "invoice-receipt", Status.LIVE)
    assert path == tmp_path / "flows" / "invoice-receipt.yaml"
    shipped = (READY / "invoice-receipt.yaml").read_text("utf-8")
    assert path.read_text("utf-8") == shipped.replace("status: draft", "status: live")
    set_status(tmp_path, "invoice-receipt", Status.DRAFT)
    assert path.read_text("utf-8") == shipped


@pytest.mark.parametrize(
    "text", [FLOW, "status: manual # for now\n" + FLOW, FLOW + "status: 'draft'\n", "---\n" + FLOW, "name: x\n" + FLOW]
)
def test_a_status_is_changed_and_nothing_else(text: str) -> None:
    changed = with_status(text, Status.LIVE)
    before, after = parse(text, "x"), parse(changed, "x")
    assert after == before.model_copy(update={"status": Status.LIVE})
    assert "# why there is this flow" in changed
    assert with_status(changed, before.status).count("\n") >= text.count("\n")


def test_an_unknown_flow_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="did you mean invoice-receipt"):
        get(tmp_path, "invoice-reciept")


def test_a_file_that_becomes_wrong_keeps_the_flow_that_was_and_stops_no_other(tmp_path: Path) -> None:
    flows = Flows(tmp_path)
    write(tmp_path, "ours", "status: live\n" + FLOW)
    assert flows.refresh()
    assert not flows.refresh()
    write(tmp_path, "ours", "status: lve\n" + FLOW)
    assert flows.refresh()
    assert flows.programs["ours"].flow.status is Status.LIVE
    assert "did you mean live" in flows.problems["ours"]
    assert len(flows.of_metric("Failed Payment")) == 1
    write(tmp_path, "ours", "status: draft\n" + FLOW)
    assert flows.refresh()
    assert flows.of_metric("Failed Payment") == []
    assert flows.problems == {}
