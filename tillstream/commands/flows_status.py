"""`flows list`, `show`, `live`, `manual` and `draft`: which flows there are, what they did, and whether they run."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from schemas.errors import TillstreamError
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Data, Flow, Json

if TYPE_CHECKING:
    from engage.flows.library import Found
    from engage.flows.steps import Kind
    from reports.messages import Message
    from settings.table import Settings


_STYLES = {"live": "bold green", "manual": "bold yellow", "draft": "dim", "wrong": "bold red"}
_NEWEST = ("at", "step", "status", "email", "recipient", "subject", "reason")  # what --json has of a message
_STATES = ("waiting", "held", "sent", "skipped", "failed", "unknown")


def list_flows(data: Data = None, as_json: Json = False) -> None:
    """Every flow: its status, what starts it, and how many of its messages are in which state.

    Exit code 1 when a flow's file can't be read, or a template of its mails; each mistake is named with its place.

    Example:  tillstream flows list
    """
    from engage.flows.library import find
    from engage.flows.soundness import mistakes

    settings = load_settings(tillstream_data=data)
    found = {
        name: replace(file, problem="; ".join(f"{file.path}: {each}" for each in mistakes(file.flow, settings.project)))
        if file.flow
        else file
        for name, file in find(settings.project).items()
    }
    counted = _counts(settings)
    wrong = {name: file.problem for name, file in found.items() if file.problem}
    if as_json:
        screen.say_json([_record(name, file, counted) for name, file in found.items()])
    else:
        screen.out.print(_table(found, counted))
        for problem in wrong.values():
            screen.err.print(Text(problem, style="red"))
    if wrong:
        raise typer.Exit(1)


def show(flow: Flow, data: Data = None, as_json: Json = False) -> None:
    """One flow: its steps by their ids, and its newest messages.

    Example:  tillstream flows show failed-payment
    """
    from engage.flows.library import get
    from engage.flows.rules.program import compile_flow

    settings = load_settings(tillstream_data=data)
    found = get(settings.project, flow)
    assert found.flow is not None
    steps = [(each.id, _told(each.kind)) for each in compile_flow(found.flow).instructions]
    counted, newest = _counts(settings), _newest(settings, flow)
    if as_json:
        record = _record(flow, found, counted) | {"steps": [{"id": name, "does": does} for name, does in steps]}
        screen.say_json(record | {"newest": [{name: getattr(one, name) for name in _NEWEST} for one in newest]})
        return
    screen.out.print(Text.assemble((found.flow.label, "bold"), "  ", (found.flow.status, _STYLES[found.flow.status])))
    screen.out.print(Text(found.flow.description), Text(str(found.path), style="dim"))
    screen.out.print(Text.assemble(("\nstarts with  ", "dim"), _trigger(found)))
    for name, does in steps:
        screen.out.print(Text.assemble((f"  {name:<16}", "cyan"), does))
    if flow in (counted or {}):
        screen.out.print(Text("\n" + ", ".join(f"{n:,} {state}" for state, n in (counted or {})[flow].items())))
    for one in newest:
        screen.out.print(
            Text.assemble(
                (f"{one.at:%Y-%m-%d %H:%M:%S}  ", "dim"),
                (f"{one.status:<8} ", "bold"),
                f"{one.email}  {one.step}  {one.subject or one.recipient}  ",
                (one.reason, "dim"),
            )
        )


def live(flow: Flow, data: Data = None, as_json: Json = False) -> None:
    """Have a flow run: facts from now on start it, and its messages are sent.

    Refused while a template of it makes no mail, or while customers could not follow the unsubscribe links in it.

    Example:  tillstream flows live invoice-receipt
    """
    _set(flow, "live", data, as_json)


def manual(flow: Flow, data: Data = None, as_json: Json = False) -> None:
    """Have a flow run, but hold its messages back until `tillstream flows release`.

    Example:  tillstream flows manual failed-payment
    """
    _set(flow, "manual", data, as_json)


def draft(flow: Flow, data: Data = None, as_json: Json = False) -> None:
    """Stop a flow: nobody starts it, and whoever is on the way waits until it is live again.

    Example:  tillstream flows draft invoice-receipt
    """
    _set(flow, "draft", data, as_json)


def _set(flow: str, status: str, data: Any, as_json: bool) -> None:
    from engage.flows.model import Status
    from engage.mail_links import set_status

    settings = load_settings(tillstream_data=data)
    path, warning = set_status(settings, flow, Status(status))
    if as_json:
        screen.say_json({"flow": flow, "status": status, "file": str(path)})
    else:
        screen.out.print(Text.assemble((flow, "bold"), " is ", (status, _STYLES[status]), f" now ({path})"))
    if status == "live" and not settings.smtp_url:
        screen.err.print(Text("SMTP_URL is not set: its mails will be skipped, and listed as such", style="yellow"))
    if warning:
        screen.err.print(Text(warning, style="yellow"))


def _counts(settings: "Settings") -> dict[str, dict[str, int]] | None:
    """None when nobody can be asked: the flows are shown all the same."""
    from reports.messages import totals
    from tillstream.reading import answer

    try:
        return answer(settings, totals)
    except TillstreamError:
        return None


def _newest(settings: "Settings", flow: str) -> "list[Message]":
    from reports.messages import newest
    from tillstream.reading import answer

    try:
        return answer(settings, partial(newest, flow=flow, limit=10))
    except TillstreamError:
        return []


def _record(name: str, file: "Found", counted: dict[str, dict[str, int]] | None) -> dict[str, Any]:
    flow = file.flow
    return {
        "flow": name,
        "title": flow.label if flow else "",
        "status": str(flow.status) if flow else "wrong",
        "trigger": _trigger(file),
        "file": str(file.path),
        "shipped": file.shipped,
        "problem": file.problem,
        "messages": None if counted is None else counted.get(name, {}),
    }


def _table(found: dict[str, "Found"], counted: dict[str, dict[str, int]] | None) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("flow", "status", "starts with"):
        table.add_column(column)
    for state in _STATES if counted is not None else ():
        table.add_column(state, justify="right")
    for name, file in found.items():
        status = str(file.flow.status) if file.flow else "wrong"
        numbers = [f"{counted.get(name, {}).get(state, 0):,}" for state in _STATES] if counted is not None else []
        table.add_row(name, Text(status, style=_STYLES[status]), _trigger(file), *numbers)
    return table


def _trigger(file: "Found") -> str:
    from engage.flows import words

    return words.trigger(file.flow) if file.flow else ""


def _told(kind: "Kind") -> str:
    """What a step does, on one line."""
    from engage.flows import words

    return f"{kind.KIND.replace('_', ' ')}  {words.step(kind)}"
