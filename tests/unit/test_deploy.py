"""docker-compose.yml and the image say what the settings, the command line and the one-machine parts say."""

import ast
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import chdb
import pytest
import setuptools
import typer
import yaml

from schemas import topics
from settings.loading import load_settings
from settings.needs import NEEDS, SECRETS
from settings.table import Settings
from tests.compose import interpolate, load_compose
from tillstream.__main__ import app

ROOT = Path(__file__).parents[2]
ROLES = {"ingest", "process", "sink", "connector", "engage", "console"}
EXAMPLE = ROOT / "deploy" / ".env.example"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
GIVEN = {
    "STRIPE_WEBHOOK_SECRET": "whsec_x",
    "CLICKHOUSE_PASSWORD": "secret",
    "TILLSTREAM_CONSOLE_TOKEN": "a token that nobody guesses",
}
COMPOSE = load_compose(**GIVEN)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def commands() -> dict[str, typer.core.TyperCommand]:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    return group.commands  # type: ignore[return-value]


def settings_names() -> set[str]:
    return {name.upper() for name in Settings.model_fields if name != "accounts"}


def test_every_role_that_the_command_line_has_is_a_service() -> None:
    assert set(OURS) - {"topics"} == ROLES & set(commands())


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_services_command_is_one_that_tillstream_takes(name: str) -> None:
    command, *arguments = OURS[name]["command"]
    assert command == name
    commands()[command].make_context(command, list(arguments))  # raises for an unknown option or value


@pytest.mark.parametrize("name", sorted(ROLES))
def test_a_service_is_given_no_secret_that_it_has_no_use_for(name: str) -> None:
    assert {secret.lower() for secret in OURS[name]["environment"]} & SECRETS <= NEEDS[name]


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_services_environment_are_settings_and_are_accepted(name: str) -> None:
    environment = OURS[name]["environment"]
    assert set(environment) <= settings_names()
    load_settings(environment)  # raises for a value that is not allowed
    known = {"KAFKA_BOOTSTRAP_SERVERS": "kafka:19092", "CLICKHOUSE_URL": "http://clickhouse:8123"}
    assert known.items() >= {(key, value) for key, value in environment.items() if key in known}


def test_every_variable_of_the_compose_file_is_in_the_example_and_is_a_setting() -> None:
    used = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text("utf-8")))
    offered = set(re.findall(r"^(\w+)=", EXAMPLE.read_text("utf-8"), re.MULTILINE))
    assert used == offered
    assert offered <= settings_names()


def test_a_missing_secret_is_named_before_anything_starts() -> None:
    for name in GIVEN:
        given = GIVEN | {name: ""}
        with pytest.raises(KeyError, match=re.escape(f"{name}: set it in .env, see deploy/.env.example")):
            interpolate((ROOT / "docker-compose.yml").read_text("utf-8"), given)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_but_the_one_shot_step_says_whether_it_is_healthy_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    if name == "topics":
        assert service["restart"] == "no"
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"


def test_services_wait_for_what_they_need() -> None:
    waits = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in OURS.items()
    }
    assert waits["topics"] == {"kafka": "service_healthy"}
    for name in set(OURS) - {"topics"}:
        if "KAFKA_BOOTSTRAP_SERVERS" in OURS[name]["environment"]:
            # `up --wait` waits for a one-shot step to end only when somebody depends on its end.
            assert waits[name]["topics"] == "service_completed_successfully"
        if "CLICKHOUSE_URL" in OURS[name]["environment"]:
            assert waits[name]["clickhouse"] == "service_healthy"


@pytest.mark.parametrize("name", sorted(set(OURS) - {"topics"}))
def test_a_role_is_asked_for_its_health_where_it_answers(name: str) -> None:
    service = OURS[name]
    port = next(value for flag, value in zip(service["command"][1::2], service["command"][2::2], strict=True))
    code = service["healthcheck"]["test"][-1]
    ast.parse(code)
    assert f"http://127.0.0.1:{port}/readyz" in code


def test_only_the_door_is_reachable_from_other_machines() -> None:
    published = {name: port for name, service in SERVICES.items() for port in service.get("ports", [])}
    assert published["ingest"] == "8080:8080"
    assert all(port.startswith("127.0.0.1:") for name, port in published.items() if name != "ingest")


def test_the_services_have_the_versions_that_one_machine_runs() -> None:
    pom = (ROOT / "embedded" / "pom.xml").read_text("utf-8")
    kafka = re.search(r"<artifactId>kafka_2\.13</artifactId>\s*<version>([\d.]+)</version>", pom)
    assert kafka is not None
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka[1]}"
    engine = ".".join(chdb.engine_version.split(".")[:2])
    assert SERVICES["clickhouse"]["image"] == f"clickhouse/clickhouse-server:{engine}"


def test_grafana_comes_only_when_asked_for_and_can_only_read() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ["grafana"]
    given = SERVICES["grafana"]["environment"]
    assert re.fullmatch(r"grafana-clickhouse-datasource@[\d.]+", given["GF_PLUGINS_PREINSTALL_SYNC"])
    assert re.fullmatch(r"grafana/grafana:\d+\.\d+\.\d+", SERVICES["grafana"]["image"])
    (mounted,) = [volume for volume in SERVICES["clickhouse"]["volumes"] if volume.startswith("./")]
    file, _, place = mounted.removesuffix(":ro").partition(":")
    assert place == "/etc/clickhouse-server/users.d/grafana.xml"
    root = ElementTree.parse(ROOT / file).getroot()
    user = root.find(f"users/{given['CLICKHOUSE_USER']}")
    assert user is not None
    assert root.findtext(f"profiles/{user.findtext('profile')}/readonly") == "2"
    assert {grant.text for grant in user.iter("query")} == {
        "GRANT SELECT ON tillstream.*",
        "GRANT SELECT ON system.time_zones",
    }


def test_kafka_takes_the_largest_event_and_makes_no_topic_by_accident() -> None:
    environment = SERVICES["kafka"]["environment"]
    assert int(environment["KAFKA_MESSAGE_MAX_BYTES"]) == max(topic.max_message_bytes for topic in topics.ALL)
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_all_state_is_in_named_volumes() -> None:
    volumes = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    ours = {volume for volume in volumes if volume.startswith("./")}  # files of this repository, only to be read
    assert {volume.partition(":")[0] for volume in volumes if volume not in ours} == set(COMPOSE["volumes"])
    assert all(volume.endswith(":ro") and (ROOT / volume.partition(":")[0]).exists() for volume in ours)
    assert "process:/data" in SERVICES["process"]["volumes"]
    assert "TILLSTREAM_DATA=/data" in (ROOT / "deploy" / "Dockerfile").read_text("utf-8")


def test_the_image_installs_exactly_the_locked_versions() -> None:
    pins = {lock: set(re.findall(r"^([\w.-]+==[^\s;]+)", lock.read_text("utf-8"), re.MULTILINE)) for lock in locks()}
    image, whole = pins.values()
    assert image <= whole, "run `make lock`"
    names = {re.sub(r"[-_.]+", "-", pin.partition("==")[0]).lower() for pin in image}
    for requirement in PROJECT["project"]["dependencies"]:
        assert re.split(r"[\[~=<> ]", requirement)[0] in names, "run `make lock`"
    assert {"setuptools"} <= names  # the image builds without build isolation
    assert not {"pytest", "mypy", "ruff"} & names


def locks() -> tuple[Path, Path]:
    return ROOT / "deploy" / "requirements.lock", ROOT / "requirements.lock"


def test_the_image_holds_every_package_and_all_that_it_is_built_from() -> None:
    installed = set(setuptools.find_packages(str(ROOT), **PROJECT["tool"]["setuptools"]["packages"]["find"]))
    rooms = PROJECT["tool"]["importlinter"]["root_packages"]
    there = {
        ".".join(init.parent.relative_to(ROOT).parts) for room in rooms for init in (ROOT / room).rglob("__init__.py")
    }
    assert installed == there
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert sent >= {*rooms, "pyproject.toml", "README.md"}
    assert all((ROOT / path).exists() for path in sent)
    for line in dockerfile():
        if line[0] == "COPY" and line[1] != "." and not line[1].startswith("--"):
            assert line[1] in sent


def dockerfile() -> list[list[str]]:
    text = (ROOT / "deploy" / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    return [shlex.split(line, comments=True) for line in text.splitlines() if line and not line.startswith("#")]


def test_the_image_runs_tillstream_as_nobody_special_on_the_python_that_is_asked_for() -> None:
    lines = dockerfile()
    last = max(index for index, line in enumerate(lines) if line[0] == "FROM")
    assert ["USER", "tillstream"] in lines[last:]
    minimum = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert {line[1] for line in lines if line[0] == "FROM"} == {f"python:{minimum}-slim"}
    assert any(line[:1] == ["ENTRYPOINT"] and "tillstream" in line[1] for line in lines)


def test_the_image_is_named_after_the_version() -> None:
    assert {service["image"] for service in OURS.values()} == {f"tillstream:{PROJECT['project']['version']}"}
    assert yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["name"] == "tillstream"
