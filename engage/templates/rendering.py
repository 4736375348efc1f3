"""Templates become mails: subject, HTML with its styles inlined, and a plain-text part made from that HTML."""

import html
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import css_inline
from jinja2 import FileSystemLoader, Template
from jinja2.exceptions import SecurityError, TemplateError, TemplateNotFound, TemplateSyntaxError
from jinja2.runtime import Context

from engage.templates.context import Values
from engage.templates.errors import Lack, MissingVariables, TemplateProblem, did_you_mean
from engage.templates.limits import Rendering, place_of, rendering
from engage.templates.sandbox import Sandbox
from engage.templates.text import plain_text

READY = Path(__file__).parent / "ready"
LONGEST_SUBJECT = 250
_DJANGO = re.compile(r"\|\s*\w+:")
_BAD_LINK = re.compile(r'(\s(?:href|src|action|background)=")\s*(?!(?:https?:|mailto:|tel:|#))[^"]*"', re.IGNORECASE)

_inliner = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A mail's parts. `missing` is what the template asked for and got a blank (or its default) instead."""

    subject: str
    html: str
    text: str
    missing: tuple[Lack, ...] = ()


class Library:
    """The templates of a project, and behind them the ready ones: a file of the same name takes a ready one's place."""

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        loader = FileSystemLoader([*folders, READY])
        self._html = Sandbox(loader)
        self._text = Sandbox(loader, escape=False)

    def names(self) -> list[str]:
        """Every mail, without `.html`; what mails are built from (`_layout.html`) is left out."""
        files = [name for name in self._html.list_templates(extensions=["html"]) if "/" not in name]
        return sorted(name.removesuffix(".html") for name in files if not name.startswith("_"))

    def check(self, name: str, subject: str = "") -> None:
        """Raises TemplateProblem when the template `name` (or a subject) is not there or can't be read."""
        self._load(name)
        try:
            self._html.check_names(f"{name}.html")
        except TemplateSyntaxError as error:
            raise _syntax(error, f"{name}.html") from None
        if subject:
            self.check_text(subject)

    def check_text(self, source: str, name: str = "subject") -> None:
        """Raises TemplateProblem for a short text that can't be read as a template."""
        self._string(source, name)

    def render(self, name: str, values: Values, *, subject: str = "", strict: bool = False) -> Rendered:
        """The mail. `subject` is a template that takes the place of the one that the template itself has.

        Raises TemplateProblem for a template that can't be used, and when `strict` MissingVariables for all that it
        asks for in vain; else blanks stand there and `missing` names them.
        """
        template = self._load(name)
        state = self._state(f"{name}.html", values)
        with rendering(state):
            context = template.new_context(dict(values.names))
            page = _run(template, context, state)
            if subject:
                line = _run(inner := self._string(subject, "subject"), inner.new_context(dict(values.names)), state)
            else:
                line = html.unescape(_block(template, context, state, "subject"))
        if strict and state.lacks:
            raise MissingVariables(state.lacks.values(), template=f"{name}.html")
        page = _BAD_LINK.sub(r'\1#"', _inliner.inline(page))
        return Rendered(one_line(line), page, plain_text(page), tuple(state.lacks.values()))

    def render_text(self, source: str, values: Values, *, name: str = "value", strict: bool = False) -> str:
        """A short text that is itself a template, such as a property's value in a flow: no HTML, one line."""
        template = self._string(source, name)
        state = self._state(name, values)
        with rendering(state):
            text = _run(template, template.new_context(dict(values.names)), state)
        if strict and state.lacks:
            raise MissingVariables(state.lacks.values(), template=name)
        return one_line(text)

    def _state(self, name: str, values: Values) -> Rendering:
        return Rendering(name, values.locale, values.timezone, values.currency, frozenset(values.names))

    def _load(self, name: str) -> Template:
        try:
            return self._html.get_template(f"{name}.html")
        except TemplateNotFound as error:
            if error.name != f"{name}.html":
                raise TemplateProblem(f"there is no template '{error.name}'", template=f"{name}.html") from None
            hint = did_you_mean(name, self.names())
            raise TemplateProblem(
                f"there is no template '{name}'{f'; {hint}' if hint else ''}",
                remedy=f"write templates/{name}.html in the project folder",
            ) from None
        except TemplateSyntaxError as error:
            raise _syntax(error, f"{name}.html") from None

    def _string(self, source: str, name: str) -> Template:
        try:
            template = self._text.from_string(source)
        except TemplateSyntaxError as error:
            raise _syntax(error, name) from None
        template.name = name
        return template


def one_line(text: str) -> str:
    """A header's value: one line without controls or marks that turn the reading direction, and not endless."""
    kept = "".join(" " if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char for char in text)
    kept = "".join(char for char in kept if char not in _TURNS and unicodedata.category(char) != "Cs")
    joined = " ".join(kept.split(" ")).strip()
    joined = re.sub(r" {2,}", " ", joined)
    return joined if len(joined) <= LONGEST_SUBJECT else f"{joined[: LONGEST_SUBJECT - 1].rstrip()}…"


_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def _run(template: Template, context: Context, state: Rendering) -> str:
    pieces: list[str] = []
    try:
        for piece in template.root_render_func(context):
            state.spend(0, len(piece))
            pieces.append(piece)
    except Exception as error:
        raise _runtime(error, state) from None
    return "".join(pieces)


def _block(template: Template, context: Context, state: Rendering, name: str) -> str:
    """A block's text, of the most specific template that has it; '' when none has."""
    blocks = context.blocks.get(name)
    if not blocks:
        return ""
    try:
        return "".join(blocks[0](context))
    except Exception as error:
        raise _runtime(error, state) from None


def _syntax(error: TemplateSyntaxError, name: str) -> TemplateProblem:
    line = (error.source or "").splitlines()[error.lineno - 1 : error.lineno]
    remedy = ""
    if line and _DJANGO.search(line[0]):
        remedy = "write a filter's argument in brackets: {{ name|default('there') }}"
    return TemplateProblem(
        error.message or "syntax error", template=error.name or name, line=error.lineno, remedy=remedy
    )


def _runtime(error: Exception, state: Rendering) -> TemplateProblem:
    if isinstance(error, TemplateProblem):
        return error
    if isinstance(error, TemplateSyntaxError):  # of a layout or an import
        return _syntax(error, error.name or state.template)
    name, line = place_of(error)
    if isinstance(error, RecursionError):
        message = "a macro or a template uses itself without end"
    elif isinstance(error, TemplateNotFound):
        message = f"there is no template '{error.name}'"
    elif isinstance(error, SecurityError | TemplateError):
        message = f"not allowed: {error}" if isinstance(error, SecurityError) else str(error)
    else:
        message = f"{type(error).__name__}: {error}"
    return TemplateProblem(message, template=name or state.template, line=line)
