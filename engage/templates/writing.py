"""A template at work: what it wrote, on one line where one is needed, and its mistakes in words."""

import re
import unicodedata

from jinja2 import Template
from jinja2.exceptions import SecurityError, TemplateError, TemplateNotFound, TemplateSyntaxError
from jinja2.runtime import Context

from engage.templates.errors import DataProblem, Exhausted, TemplateProblem
from engage.templates.limits import MEMORY, Rendering, place_of

LONGEST_SUBJECT = 250
_DJANGO = re.compile(r"\|\s*\w+:")


def one_line(text: str) -> str:
    """A header's value: one line without controls or marks that turn the reading direction, and not endless."""
    kept = "".join(" " if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char for char in text)
    kept = "".join(char for char in kept if char not in _TURNS and unicodedata.category(char) != "Cs")
    joined = " ".join(kept.split(" ")).strip()
    joined = re.sub(r" {2,}", " ", joined)
    return joined if len(joined) <= LONGEST_SUBJECT else f"{joined[: LONGEST_SUBJECT - 1].rstrip()}…"


_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def run(template: Template, context: Context, state: Rendering) -> str:
    """All that the template writes. Raises TemplateProblem."""
    pieces: list[str] = []
    try:
        for piece in template.root_render_func(context):
            state.spend(0, len(piece))
            pieces.append(piece)
    except Exception as error:
        raise runtime(error, state) from None
    return "".join(pieces)


def syntax(error: TemplateSyntaxError, name: str) -> TemplateProblem:
    """What can't be read, as one of our errors."""
    line = (error.source or "").splitlines()[error.lineno - 1 : error.lineno]
    remedy = ""
    if line and _DJANGO.search(line[0]):
        remedy = "write a filter's argument in brackets: {{ name|default('there') }}"
    return TemplateProblem(
        error.message or "syntax error", template=error.name or name, line=error.lineno, remedy=remedy
    )


def runtime(error: Exception, state: Rendering) -> TemplateProblem:
    """What went wrong while a template ran, as one of our errors."""
    if isinstance(error, TemplateProblem):
        return error
    if isinstance(error, TemplateSyntaxError):  # of a layout or an import
        return syntax(error, error.name or state.template)
    name, line = place_of(error)
    if isinstance(error, RecursionError):
        message = "a macro or a template uses itself without end"
    elif isinstance(error, MemoryError):
        return Exhausted(f"more than {MEMORY} MB of memory", template=name or state.template, line=line)
    elif isinstance(error, TemplateNotFound):
        message = f"there is no template '{error.name}'"
    elif isinstance(error, SecurityError | TemplateError):
        message = f"not allowed: {error}" if isinstance(error, SecurityError) else str(error)
    else:
        return DataProblem(f"{type(error).__name__}: {error}", template=name or state.template, line=line)
    return TemplateProblem(message, template=name or state.template, line=line)
