"""The repository keeps its own rules of form; `make lint` holds it to the others."""

import ast
import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
ROOMS = PROJECT["tool"]["importlinter"]["root_packages"]
PLACES = (*ROOMS, "tests", "benchmarks", "deploy", "docs", "scripts")
LONGEST = 400  # lines: a file fits in a head
LINTS = ("ruff check .", "ruff format --check .", "mypy", "lint-imports")


def sources() -> list[Path]:
    return sorted(path for place in PLACES for path in (ROOT / place).rglob("*.py"))


def test_the_hooks_before_a_commit_are_the_same_checks_and_fetch_nothing() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {hook["language"] for hook in hooks} == {"system"}
    commands = [hook["entry"].split()[0] for hook in hooks]
    assert commands == [f".venv/bin/{lint.split()[0]}" for lint in LINTS]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert lint is not None
    assert re.findall(r"\$\(BIN\)/([^&\n]+?) *(?:&&|\n)", lint[1]) == list(LINTS)
    for target in ("test", "check"):
        assert re.search(rf"^{target}: lint\b", makefile, re.MULTILINE)


def test_no_file_is_too_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in sources()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def test_every_package_and_module_says_what_it_is_for() -> None:
    silent = []
    for path in sources():
        tree = ast.parse(path.read_text("utf-8"))
        if tree.body and not ast.get_docstring(tree):
            silent.append(str(path.relative_to(ROOT)))
    rooms = {room for room in ROOMS if list((ROOT / room).rglob("*.py")) != [ROOT / room / "__init__.py"]}
    silent += [f"{room}/__init__.py" for room in rooms if not (ROOT / room / "__init__.py").read_text("utf-8").strip()]
    assert silent == []


def test_every_room_is_known_to_the_checks() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert rooms == set(ROOMS) == set(PROJECT["tool"]["mypy"]["packages"])
    layers = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    assert rooms == {room for layer in layers for room in layer.split(" | ")} | {"embedded", "simulator"}
    architecture = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    assert all(f"`{room}/`" in architecture for room in ROOMS)


def test_what_documents_name_is_there() -> None:
    named = re.compile(rf"`((?:{'|'.join(PLACES)})/(?:[\w./-]*(?:/|\.\w+))?)`")
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    paths = [(document.name, path) for document in documents for path in named.findall(document.read_text("utf-8"))]
    assert [(document, path) for document, path in paths if not (ROOT / path).exists()] == []
    assert len(paths) > 50
