"""What the doctor reads in a project's files: each mistake with its file, its line, and the next step."""

from pathlib import Path

import pytest

from doctor.gather_files import flow_facts, segment_facts

RECEIPT = """\
name: receipts
status: live
trigger: {metric: Successfully Paid}
steps:
  - email: {template: TEMPLATE}
"""


def write(project: Path, name: str, text: str) -> Path:
    path = project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_what_comes_with_tillstream_is_sound_and_waits_to_be_made_live(tmp_path: Path) -> None:
    assert [file.name for file in segment_facts(tmp_path) if file.problem] == []
    flows = flow_facts(tmp_path)
    assert {file.status for file in flows} == {"draft"}
    assert [file.name for file in flows if file.problem or file.mistakes] == []


@pytest.mark.parametrize("status", ["live", "manual", "draft"])
def test_a_flow_that_cannot_be_read_tells_its_line_and_what_it_was_to_be(tmp_path: Path, status: str) -> None:
    text = RECEIPT.replace("live", status).replace("email", "emial")
    path = write(tmp_path, "flows/receipts.yaml", text)
    (found,) = (file for file in flow_facts(tmp_path) if file.name == "receipts")
    assert (found.status, found.line, found.place) == (status, 5, f"{path}:5")
    assert found.problem.startswith("line 5: ")
    assert "emial" in found.problem


def test_a_file_that_is_no_yaml_or_no_text_is_told_too(tmp_path: Path) -> None:
    write(tmp_path, "flows/a.yaml", "status: live\nsteps: [")
    (tmp_path / "flows" / "b.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "flows" / "c.yaml").mkdir()
    found = {file.name: file for file in flow_facts(tmp_path) if file.problem}
    assert set(found) == {"a", "b", "c"}
    assert (found["a"].status, found["b"].status) == ("live", "")


def test_a_live_flow_without_its_template_says_where_to_write_it(tmp_path: Path) -> None:
    write(tmp_path, "flows/receipts.yaml", RECEIPT.replace("TEMPLATE", "reciept"))
    (found,) = (file for file in flow_facts(tmp_path) if file.name == "receipts")
    (mistake,) = found.mistakes
    assert found.mails
    assert "there is no template 'reciept'" in mistake.text
    assert f"{tmp_path}/templates/reciept.html" in mistake.remedy


def test_a_template_that_cannot_be_read_is_named_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, "flows/receipts.yaml", RECEIPT.replace("TEMPLATE", "mine"))
    path = write(tmp_path, "templates/mine.html", "<p>\n{% if event.Amount %}\n</p>")
    (found,) = (file for file in flow_facts(tmp_path) if file.name == "receipts")
    (mistake,) = found.mistakes
    assert mistake.remedy.startswith(f"mend {path}:")
    path.write_text("<p>Thank you</p>", "utf-8")
    (found,) = (file for file in flow_facts(tmp_path) if file.name == "receipts")
    assert found.mistakes == ()


def test_a_live_flow_that_a_missing_segment_starts_is_started_by_nobody(tmp_path: Path) -> None:
    text = RECEIPT.replace("{metric: Successfully Paid}", "{segment: vips, on: entered}").replace("TEMPLATE", "mine")
    write(tmp_path, "flows/receipts.yaml", text)
    write(tmp_path, "templates/mine.html", "<p>Thank you</p>")
    (found,) = (file for file in flow_facts(tmp_path) if file.name == "receipts")
    assert [mistake.text for mistake in found.mistakes] == ["there is no segment 'vips', so nobody starts it"]


def test_a_segment_that_cannot_be_read_tells_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, "segments/vips.yaml", "all:\n  - person: {contry: DE}\n")
    (found,) = (file for file in segment_facts(tmp_path) if file.name == "vips")
    assert found.place == f"{path}:2"
    assert "contry" in found.problem
