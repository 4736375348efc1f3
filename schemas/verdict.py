"""One light for the whole, and what it rests on: the same for the command line, the console and its JSON. Pure.

Green means complete and correct: every part works, history is in, nothing lags, Stripe sends what it should to the
right place, the last comparison with Stripe was equal, nothing waits, and nothing that came in is missing anywhere.
Anything else is a finding with its remedy.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Light(StrEnum):
    """The verdict's colour."""

    GREEN = "green"
    AMBER = "amber"  # it works, and something is incomplete or can't be proved
    RED = "red"  # something does not work
    WAITING = "waiting"  # nothing is wrong, and no event has ever come


class Severity(StrEnum):
    """What a finding does to the light."""

    ERROR = "error"
    WAITING = "waiting"  # for a person, or for Stripe: nothing has begun yet
    WARNING = "warning"
    HINT = "hint"  # worth knowing; the light stays green


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be: its `name` (such as `endpoint-disabled`), a sentence, and what mends it.

    `about` says whose it is: an account, a part, a topic; '' for the whole.
    """

    name: str
    severity: Severity
    text: str
    remedy: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The light, one sentence for it, and every finding, the worst first."""

    light: Light
    title: str
    findings: tuple[Finding, ...]

    def as_json(self) -> dict[str, Any]:
        """For programs: `light`, `title`, `findings` with `name`, `severity`, `text`, `remedy`, `about`."""
        return {"light": self.light, "title": self.title, "findings": [asdict(finding) for finding in self.findings]}


_ORDER = list(Severity)


def verdict(findings: Iterable[Finding]) -> Verdict:
    """What all findings come to."""
    ordered = tuple(sorted(findings, key=lambda finding: _ORDER.index(finding.severity)))
    errors = sum(finding.severity is Severity.ERROR for finding in ordered)
    warnings = sum(finding.severity is Severity.WARNING for finding in ordered)
    waiting = [finding for finding in ordered if finding.severity is Severity.WAITING]
    if errors:
        return Verdict(Light.RED, f"{_counted(errors, 'thing')} {_do(errors)} not work", ordered)
    if waiting:
        return Verdict(Light.WAITING, "waiting: " + waiting[0].text, ordered)
    if warnings:
        return Verdict(Light.AMBER, f"it works, but {_counted(warnings, 'thing')} {_need(warnings)} a look", ordered)
    return Verdict(Light.GREEN, "complete and correct", ordered)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _do(number: int) -> str:
    return "does" if number == 1 else "do"


def _need(number: int) -> str:
    return "needs" if number == 1 else "need"
