"""`tillstream segments …` over a real engine: live answers that write nothing, files that are right or named."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from schemas.metrics import Metric
from tests.integration.segments_support import Shop, paid, project, shop, write
from tests.integration.sinks_support import fact
from tests.shapes import differences
from tillstream.__main__ import app

__all__ = ["project", "shop"]

VIP = """
name: Very important
all:
  - metric: Successfully Paid
    count: at least 2
  - person: {email: {not contains: "+"}}
"""


@pytest.fixture
async def people(shop: Shop, project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shop:
    for name in ("ada", "bob", "c+d", "=evil"):
        await shop.told(*(paid(f"{name}@example.com", f"{name}-{number}") for number in range(2)))
    await shop.told(paid("once@example.com"), *(paid("test@example.com", f"t{n}", livemode=False) for n in range(2)))
    await shop.told(fact("i1", Metric.ISSUED_INVOICE, email="ada@example.com", properties={"status": "open"}))
    write(project, "vip", VIP)
    for name, value in {
        "CLICKHOUSE_URL": shop.url,
        "CLICKHOUSE_DATABASE": shop.database,
        "TILLSTREAM_PROJECT": str(project),
        "TILLSTREAM_DATA": str(tmp_path / "data"),
    }.items():
        monkeypatch.setenv(name, value)
    return shop


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(app, ["segments", *arguments])
    assert "--json" not in arguments or not differences(["segments", *arguments], done.stdout)
    return done


def said(*arguments: str) -> object:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


async def test_a_segment_is_counted_listed_explained_and_exported_live(
    people: Shop, project: Path, tmp_path: Path
) -> None:
    assert said("count", "vip") == {"segment": "vip", "livemode": True, "members": 3}
    assert said("count", "vip", "--test") == {"segment": "vip", "livemode": False, "members": 1}
    assert said("count", "unpaid-invoices") == {"segment": "unpaid-invoices", "livemode": True, "members": 1}
    first = said("members", "vip", "-n", "2")
    assert [row["email"] for row in first] == ["=evil@example.com", "ada@example.com"]  # type: ignore[attr-defined]
    rest = said("members", "vip", "--after", "ada@example.com")
    assert [row["email"] for row in rest] == ["bob@example.com"]  # type: ignore[attr-defined]
    told = said("explain", "vip")
    assert told["conditions"] == [  # type: ignore[index]
        {"condition": "has at least 2 × Successfully Paid", "live": 4, "test": 1},
        {"condition": "email does not contain +", "live": 4, "test": 1},
    ]
    assert told["members"] == {"live": 3, "test": 1}  # type: ignore[index]
    sql, parameters = told["sql"], told["parameters"]  # type: ignore[index]
    people.client.database = people.database
    assert len(people.client.query(sql, parameters=parameters).result_rows) == 4
    file = tmp_path / "vip.csv"
    assert run("export", "vip", "--to", str(file)).exit_code == 0
    lines = file.read_text("utf-8").splitlines()
    assert lines[0] == "email,name,country,first_seen,last_seen,lifetime_value"
    assert [line.partition(",")[0] for line in lines[1:]] == [
        "'=evil@example.com",
        "ada@example.com",
        "bob@example.com",
    ]
    exported = run("export", "vip", "--format", "json").stdout.splitlines()
    assert [json.loads(line)["email"] for line in exported][1:] == ["ada@example.com", "bob@example.com"]
    assert people.rows("SELECT count() FROM segment_change_rows") == [(0,)]
    assert "(has at least 2 × Successfully Paid) and (email does not contain +)" in run("show", "vip").output


async def test_what_is_wrong_is_named_and_has_exit_code_1(people: Shop, project: Path) -> None:
    assert run("validate").exit_code == run("list").exit_code == 0
    write(project, "typo", "all:\n- metric: Failed Paymet\n- in segment: vipp\n")
    write(project, "one", "all:\n- in segment: two\n")
    write(project, "two", "any:\n- metric: Failed Payment\n- not in segment: one\n")
    write(project, "lapsed-customers", VIP.replace("name: Very important", "name: Ours"))
    result = run("validate")
    assert result.exit_code == 1
    assert "typo.yaml:2:11: there is no metric 'Failed Paymet'; did you mean Failed Payment?" in result.output
    assert "typo.yaml:3:15: there is no segment 'vipp'; did you mean vip?" in result.output
    assert "one.yaml:1:1: it asks for itself: one → two → one" in result.output
    listed = run("list", "--json")
    assert listed.exit_code == 1
    rows = {row["name"]: row for row in json.loads(listed.stdout)}
    assert (rows["lapsed-customers"]["title"], rows["lapsed-customers"]["shipped"]) == ("Ours", False)
    assert (rows["vip"]["problems"], len(rows["typo"]["problems"])) == ([], 2)
    other = project / "other.yaml"
    other.write_text("all: []", "utf-8")
    assert run("validate", str(other)).exit_code == 1


async def test_a_segment_that_there_is_none_of_is_refused_with_the_nearest(people: Shop) -> None:
    result = run("count", "vipp")
    assert "there is no segment 'vipp'; did you mean vip?" in str(result.exception)
