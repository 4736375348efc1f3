"""What can be wrong with a template, in words for the person who wrote it."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from schemas.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Lack:
    """A value that a template asked for and that isn't there, with the place that asked first."""

    name: str
    template: str = ""
    line: int = 0
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.template}, line {self.line}: " if self.line else ""
        return f"{place}{self.name}{f' ({self.hint})' if self.hint else ''}"


class TemplateProblem(ConfigurationError):
    """A template can't be used as it is written; `template` and `line` (0: unknown) say where, `reason` what it is."""

    def __init__(self, message: str, *, template: str = "", line: int = 0, remedy: str = "") -> None:
        self.reason, self.template, self.line = message, template, line
        place = f"template {template}, line {line}: " if line else f"template {template}: " if template else ""
        super().__init__(place + message, remedy=remedy)


class Exhausted(TemplateProblem):
    """A template took all the memory that there is for one."""


class DataProblem(TemplateProblem):
    """A template can't be used for this event and person; with others it may."""


class MissingVariables(TemplateProblem):
    """In a preview: all that the template asks for and this event and person don't have."""

    def __init__(self, lacks: Iterable[Lack], *, template: str) -> None:
        self.lacks = tuple(lacks)
        listed = "; ".join(map(str, self.lacks))
        super().__init__(
            f"not known: {listed}",
            template=template,
            remedy="mend the name, or say what to write instead: {{ name|default('…') }}",
        )


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """A hint with the nearest of `known`, case apart, or ''."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f"did you mean {prefix}{by_lower[near[0]]}?" if near else ""
