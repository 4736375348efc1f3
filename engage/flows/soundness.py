"""Would a flow's steps work if they came to act? What its file can't tell by itself: templates, subjects, addresses."""

from pathlib import Path

from engage.flows.model import Flow
from engage.flows.rules.program import Instruction, compile_flow
from engage.flows.steps import Email, SetProfileProperty
from engage.senders.smtp import address
from engage.templates import short
from engage.templates.errors import TemplateProblem
from engage.templates.rendering import Library


def mistakes(flow: Flow, project: Path) -> list[str]:
    """What is wrong with the steps, each with the step's id; nothing when the flow may go live."""
    return [f"step {step}: {mistake}" for step, mistake in faults(flow, project)]


def faults(flow: Flow, project: Path) -> list[tuple[str, str]]:
    """The same, as the step's id and what is wrong with it."""
    library = Library([project / "templates"])
    return [
        (instruction.id, mistake)
        for instruction in compile_flow(flow).instructions
        for mistake in _of_step(instruction, library)
    ]


def _of_step(instruction: Instruction, library: Library) -> list[str]:
    found = []
    kind = instruction.kind
    try:
        if isinstance(kind, Email):
            library.check(kind.template, kind.subject)
        elif isinstance(kind, SetProfileProperty):
            for name, text in kind.properties.items():
                short.check(text, name)
    except TemplateProblem as error:
        found.append(str(error))
    if isinstance(kind, Email):
        for name, given in (("from", kind.sender), ("reply_to", kind.reply_to), ("to", kind.to)):
            try:
                if given:
                    address(given)
            except ValueError as error:
                found.append(f"{name}: {error}")
    return found
