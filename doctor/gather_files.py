"""What the project's files say: every segment and flow, and what is wrong with them."""

import re
from pathlib import Path

from doctor.facts import FileFacts, Mistake
from engage.flows import library as flow_library
from engage.flows.model import Flow, SegmentTrigger, Status
from engage.flows.rules.program import compile_flow
from engage.flows.soundness import mistakes
from engage.flows.steps import Email
from engage.segments import library as segment_library

_PLACED = re.compile(r"(?P<file>.*?):(?P<line>\d+):\d+: (?P<what>.*)", re.DOTALL)
_STATUS = re.compile(r"^status:\s*[\"']?(draft|manual|live)\b", re.MULTILINE)
_TEMPLATE = re.compile(r"template (?P<name>[^\s,:]+)(, line (?P<line>\d+))?: ")
_MISSING = re.compile(r"there is no template '(?P<name>[^']+)'")


def segment_facts(project: Path) -> tuple[FileFacts, ...]:
    """Every segment's file."""
    return tuple(
        _unread(name, found.path, found.problem) if found.problem else FileFacts(name, str(found.path))
        for name, found in segment_library.find(project).items()
    )


def flow_facts(project: Path) -> tuple[FileFacts, ...]:
    """Every flow's file. Of drafts nobody asks whether they would work."""
    segments = frozenset(segment_library.find(project))
    return tuple(
        _unread(name, found.path, found.problem)
        if found.flow is None
        else _flow(name, found.path, found.flow, project, segments)
        for name, found in flow_library.find(project).items()
    )


def _flow(name: str, path: Path, flow: Flow, project: Path, segments: frozenset[str]) -> FileFacts:
    mails = any(isinstance(each.kind, Email) for each in compile_flow(flow).instructions)
    wrong: list[Mistake] = []
    if flow.status is not Status.DRAFT:
        wrong = [Mistake(text, _remedy(text, path, project)) for text in mistakes(flow, project)]
        trigger = flow.trigger
        if isinstance(trigger, SegmentTrigger) and trigger.segment not in segments:
            text = f"there is no segment '{trigger.segment}', so nobody starts it"
            wrong.append(
                Mistake(text, f"name another one in {path}, or write {project}/segments/{trigger.segment}.yaml")
            )
    return FileFacts(name, str(path), status=str(flow.status), mails=mails, mistakes=tuple(wrong))


def _unread(name: str, path: Path, problem: str) -> FileFacts:
    """`problem` is one line each mistake, `file:line:column: what` where a place is known."""
    first, *others = problem.splitlines() or [""]
    placed = _PLACED.fullmatch(first)
    text = f"line {placed['line']}: {placed['what']}" if placed else first
    more = f" (and {len(others)} more)" if others else ""
    return FileFacts(name, str(path), int(placed["line"]) if placed else 0, text + more, _status(path))


def _status(path: Path) -> str:
    """As far as the text tells: '' when it doesn't. A flow that says nothing is a draft, if the rest can be read."""
    try:
        found = _STATUS.search(path.read_text("utf-8", "replace"))
    except OSError:
        return ""
    return found[1] if found else ""


def _remedy(mistake: str, path: Path, project: Path) -> str:
    if missing := _MISSING.search(mistake):
        return f"write {project}/templates/{missing['name'].removesuffix('.html')}.html, or name another in {path}"
    if placed := _TEMPLATE.search(mistake):
        file = project / "templates" / placed["name"]
        return f"mend {file}:{placed['line']}" if placed["line"] else f"mend {file}"
    return f"mend {path}"
