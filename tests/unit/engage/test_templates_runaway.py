"""Templates that would take the machine: each ends soon, as an error of its own, and the next mail is made."""

import asyncio
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engage.templates import renderer
from engage.templates.context import values
from engage.templates.errors import TemplateProblem
from engage.templates.rendering import Library
from schemas.errors import Unavailable
from tests.conftest import eventually
from tests.fixtures.mails import ORGANIZATION, PERSON, paid

WITHIN = 3.0  # seconds on the clock, when nothing else runs
COMPUTING = 1.5  # seconds of the processor, however busy it is
GROWTH = 32 * 1024  # kilobytes of this process
VALUES = values(paid(), PERSON, ORGANIZATION)
LINE = "template mail.html, line 2: "

#: Name → source, and what the error says.
HOSTILE: dict[str, tuple[str, str]] = {
    "lists within lists": ("\n{% set a = ['x' * 1] %}", "can't be multiplied"),
    "lists that double": (
        "\n{% set a = ['xxxxxxxx', 1] %}" + "{% set a = [a, a] %}" * 40 + "{{ a }}",
        "a list of more than 10,000 values",
    ),
    "mappings that double": ("\n{% set a = {'k': 1} %}" + "{% set a = {'x': a, 'y': a} %}" * 40, "10,000 values"),
    "a sum of lists that doubles": ("\n{% set a = [[1]] %}" + "{% set a = a + a %}" * 40, "10,000 values"),
    "arguments that double": (
        "\n{% set n = namespace(x=[1]) %}{% macro m() %}{% set n.x = varargs %}{% endmacro %}"
        + "{{ m(n.x, n.x) }}" * 40
        + "{{ n.x }}",
        "MB of memory|s of computing",
    ),
    "comparing what doubles": (
        "\n{% set n = namespace(x=[1], y=[1]) %}"
        "{% macro m() %}{% set n.x = varargs %}{% endmacro %}{% macro k() %}{% set n.y = varargs %}{% endmacro %}"
        + "{{ m(n.x, n.x) }}{{ k(n.y, n.y) }}" * 40
        + "{{ n.x == n.y }}",
        "s of computing",
    ),
    "a block that calls itself": (
        "{% block b %}\n{% set a = self.b() %}{% set c = self.b() %}{% endblock %}",
        "without end|turns of loops",
    ),
    "a macro that calls itself": (
        "\n{% macro m() %}{% set a = m() %}{% set c = m() %}{% endmacro %}{{ m() }}",
        "without end|turns of loops",
    ),
    "a template that includes itself": ("\n{% include 'mail.html' %}{% include 'mail.html' %}", "without end|turns"),
    "loops in loops": (
        "\n{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}",
        "turns of loops",
    ),
    "slow turns": (
        "\n{% set a = 'abcdefgh' %}"
        + "{% set a = a ~ a %}" * 14
        + "{% for i in range(1000) %}{% for j in range(9) %}{% if a|upper|lower|replace('a', 'b')|length %}{% endif %}"
        "{% endfor %}{% endfor %}",
        "s of computing",
    ),
    "elements within elements": ("<div>" * 50_000, "more than 500 elements are nested"),
    "elements that seem closed": ("<div/>" * 50_000, "more than 500 elements are nested"),
    "tables within tables": ("<table><tr><td>" * 20_000, "more than 500 elements are nested"),
    "cells without end": ("<table>" + "<tr><td>x" * 30_000 + "<tr>" + "<td>y" * 30_000, "MB of memory|s of computing"),
    "brackets": ("\n{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}", "nested too deep|without end"),
    "lists in the source": ("\n{{ " + "[" * 3_000 + "]" * 3_000 + " }}", "nested too deep|without end"),
    "a long sum": ("\n{{ " + "+".join(["1"] * 20_000) + " }}", "nested too deep|without end"),
    "minus without end": ("\n{{ " + "-" * 20_000 + "1 }}", "nested too deep|without end"),
    "ifs within ifs": ("{% if 1 %}" * 2_000 + "{% endif %}" * 2_000, "nested too deep|without end|SyntaxError"),
    "styles for all": (
        "<style>" + "".join(f"p{{padding-{n}:1px}}" for n in range(5_000)) + "</style>" + "<p>x" * 20_000,
        "s of computing|MB of memory|can be made",
    ),
}


@pytest.fixture
def library(tmp_path: Path) -> Library:
    (tmp_path / "good.html").write_text("<p>{{ event.Amount|currency }}</p>", "utf-8")
    return Library([tmp_path])


def rss() -> int:
    """Of this process at its largest, in kilobytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def spent() -> float:
    """By processes of templates, those that have ended and the one that is there; in seconds of the processor."""
    ended = os.times()
    pid = renderer.shared().pid
    now = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[11:13] if pid else ("0", "0")
    return ended.children_user + ended.children_system + sum(map(int, now)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def soon() -> Iterator[None]:
    """What is done in the block neither computes for long nor takes long, unless the machine is full."""
    began, before = time.monotonic(), spent()
    yield
    assert spent() - before < COMPUTING
    assert time.monotonic() - began < WITHIN * max(4.0, 2 * os.getloadavg()[0] / (os.cpu_count() or 1))


@pytest.mark.parametrize("name", HOSTILE)
def test_it_ends_soon_with_an_error_and_the_next_mail_is_made(name: str, library: Library, tmp_path: Path) -> None:
    source, cause = HOSTILE[name]
    (tmp_path / "mail.html").write_text(source, "utf-8")
    library.render("good", VALUES)
    before = rss()
    for ask in (lambda: library.render("mail", VALUES), lambda: library.check("mail")):
        with soon(), pytest.raises(TemplateProblem, match=cause) as caught:
            ask()
        assert caught.value.template.startswith("mail")
        assert library.render("good", VALUES).text == "€1,249.50\n"
    assert rss() - before < GROWTH


@pytest.mark.parametrize("name", [name for name, (source, _) in HOSTILE.items() if source.startswith("\n{% set a = [")])
def test_the_error_names_the_line(name: str, library: Library, tmp_path: Path) -> None:
    (tmp_path / "mail.html").write_text(HOSTILE[name][0], "utf-8")
    assert library.problem("mail").startswith(LINE)
    assert library.problem("good") == ""


_PIECES = st.sampled_from(
    (
        "{% set a = [a, a] %}",
        "{% set a = {'x': a, 'y': [a]} %}",
        "{% set a = a ~ a %}",
        "{% set a = (a|list) + (a|list) %}",
        "{% for x in a %}{{ a }}{% endfor %}",
        "{% for x in range(99) %}{% for y in range(99) %}{% endfor %}{% endfor %}",
        "{{ a }}",
        "{{ self.b() }}",
        "{% if a == [a] %}{% endif %}",
        "<table><tr><td>" * 30,
        "<div>" * 40,
        "{{ a|replace('x', event.Reason ~ 'xxxx') }}",
        "{% set a = a|string|replace('x', 'xxxx') %}",
    )
)


@settings(max_examples=max(10, settings.default.max_examples // 10), deadline=None)
@given(st.lists(_PIECES, min_size=1, max_size=60))
def test_whatever_a_template_is_made_of_it_ends_soon(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("made")
    (folder / "mail.html").write_text("{% set a = 'x' %}{% block b %}" + "\n".join(pieces) + "{% endblock %}", "utf-8")
    (folder / "good.html").write_text("good", "utf-8")
    library = Library([folder])
    with soon(), suppress(TemplateProblem):
        library.render("mail", VALUES)
    assert library.render("good", VALUES).text == "good\n"


def test_a_template_that_ends_the_process_each_time_is_left_alone_until_it_changes(
    library: Library, tmp_path: Path
) -> None:
    (tmp_path / "mail.html").write_text(HOSTILE["comparing what doubles"][0], "utf-8")
    library.render("good", VALUES)
    pids = set()
    for _ in range(6):
        with pytest.raises(TemplateProblem, match="s of computing"):
            library.render("mail", VALUES)
        library.render("good", VALUES)
        pids.add(renderer.shared().pid)
    assert len(pids) == 3  # then nobody waits for it any more
    (tmp_path / "mail.html").write_text("mended", "utf-8")
    assert library.render("mail", VALUES).text == "mended\n"


def test_a_process_that_somebody_ends_is_replaced(library: Library) -> None:
    for _ in range(2):
        library.render("good", VALUES)
        os.kill(renderer.shared().pid, signal.SIGKILL)
        assert library.render("good", VALUES).text == "€1,249.50\n"


def test_a_process_that_stands_still_is_replaced(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderer, "_ANSWER_WITHIN", 8.0)
    library.render("good", VALUES)
    os.kill(renderer.shared().pid, signal.SIGSTOP)
    assert library.render("good", VALUES).text == "€1,249.50\n"


def test_a_machine_that_can_start_no_process_is_no_fault_of_the_template(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer.shared().close()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(Unavailable, match="the process that makes mails can't be started"):
        library.render("good", VALUES)
    monkeypatch.undo()
    assert library.render("good", VALUES).text == "€1,249.50\n"


async def test_others_go_on_while_a_mail_is_made(library: Library, tmp_path: Path) -> None:
    (tmp_path / "mail.html").write_text(HOSTILE["slow turns"][0], "utf-8")
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    beside = asyncio.create_task(others())
    mails: list[Any] = await asyncio.gather(
        library.rendered("mail", VALUES), library.rendered("good", VALUES), return_exceptions=True
    )
    beside.cancel()
    assert isinstance(mails[0], TemplateProblem)
    assert mails[1].text == "€1,249.50\n"
    assert turns > 20


async def test_the_process_goes_when_its_parent_is_killed(tmp_path: Path) -> None:
    """Also in the middle of its work."""
    code = (
        "from engage.templates.rendering import Library\n"
        "from engage.templates import renderer\n"
        "Library().check('receipt')\n"
        "print(renderer.shared().pid, flush=True)\n"
        "input()\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    parent.kill()
    await parent.wait()
    await eventually(lambda: not Path(f"/proc/{pid}").exists())
