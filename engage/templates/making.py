"""Templates become mails: subject, HTML with its styles inlined, and a plain-text part made from that HTML.

This runs in a process of its own (`engage.templates.child`); all others ask it through `rendering.Library`.
"""

import html
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import css_inline
from babel import Locale
from jinja2 import Environment, FileSystemLoader, Template
from jinja2.exceptions import TemplateNotFound, TemplateSyntaxError
from jinja2.runtime import Context

from engage.templates import locales, samples
from engage.templates.context import Values
from engage.templates.errors import DataProblem, MissingVariables, TemplateProblem, did_you_mean
from engage.templates.limits import Rendering, rendering
from engage.templates.places import Rendered, files, known_language, language_of, names
from engage.templates.sandbox import Sandbox
from engage.templates.text import plain_text
from engage.templates.writing import one_line, run, runtime, syntax

DEEPEST = 500  # elements within each other: tables in tables make fifty, and css-inline dies of ten thousand
_BAD_LINK = re.compile(
    r'(\s(?:href|src|action|background)=")\s*(?!(?:https?:|mailto:|tel:|#|data:image/(?:png|jpeg|gif);base64,))[^"]*"',
    re.IGNORECASE,
)
_LANGUAGE = re.compile(r"""<html\b[^>]*?\slang\s*=\s*["']([A-Za-z]{2,3}(?:[-_][A-Za-z]+)*)["']""", re.IGNORECASE)
_EXTENDS = re.compile(r"""\{%-?\s*extends\s+["']([^"']+)["']""")
_ELEMENT = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)")
_UNCLOSED = frozenset(
    "p li dt dd td th tr tbody thead tfoot option area base br col embed hr img input link meta".split()
)

_inliner = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)


class _Loader(FileSystemLoader):
    """Also notices a file that comes to stand before the one that was read."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        source, path, unchanged = super().get_source(environment, template)
        places = [Path(folder, template) for folder in self.searchpath]
        return source, path, lambda: str(next(filter(Path.is_file, places), "")) == path and unchanged()


class Maker:
    """Makes the mails of one project: the templates of its folders, those of the first before those of the last."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        loader = _Loader(folders)
        self._html = Sandbox(loader)
        self._text = Sandbox(loader, escape=False)
        self._strings = lru_cache(maxsize=256)(self._text.from_string)

    def check(self, name: str, subject: str = "", draft: str = "") -> None:
        """Raises TemplateProblem when the template `name`, a translation of it, or a subject can't be used.

        It is tried with made-up values, so that one that would never end is found before a customer's mail needs it.
        A `draft` stands for the text of `name`, which need not be there, and is all that is tried.
        """
        self._load(name, draft)
        for each in [name, *([] if draft else self._translations(name))]:
            self._load(each, draft)
            try:
                self._html.check_names(f"{each}.html", draft)
            except TemplateSyntaxError as error:
                raise syntax(error, f"{each}.html") from None
            try:
                self._made(each, samples.payment(), subject, draft)
            except DataProblem:  # of what was made up; a real event may have better
                continue

    def check_text(self, source: str, name: str = "subject") -> None:
        """Raises TemplateProblem for a short text that can't be read as a template."""
        self._string(source, name)

    def render(
        self, name: str, values: Values, *, subject: str = "", strict: bool = False, draft: str = ""
    ) -> Rendered:
        """The mail, in the customer's language when the template is translated into it (`NAME.de.html`).

        `subject` is a template that takes the place of the one that the template itself has, and `draft` a text that
        takes the place of the template. Raises TemplateProblem for a template that can't be used, and when `strict`
        MissingVariables for all that it asks for in vain; else blanks stand there and `missing` names them.
        """
        made = self._made(name if draft else self._translated(name, values.locale), values, subject, draft)
        if strict and made.missing:
            raise MissingVariables(made.missing, template=f"{name}.html")
        return made

    def _made(self, name: str, values: Values, subject: str, draft: str = "") -> Rendered:
        template, language = self._load(name, draft), self._language(name, draft)
        locale = locales.written_in(language, values.locale)
        given = {**values.names, "language": language.replace("_", "-")}
        state = Rendering(f"{name}.html", locale, values.timezone, values.currency, frozenset(given))
        with rendering(state):
            context = template.new_context(dict(given))
            page = run(template, context, state)
            if subject:
                line = run(inner := self._string(subject, "subject"), inner.new_context(dict(given)), state)
            else:
                line = html.unescape(_block(template, context, state, "subject"))
            _flat(page, state)
            text = plain_text(page := _BAD_LINK.sub(r'\1#"', _inliner.inline(page)))
        return Rendered(one_line(line), page, text, tuple(state.lacks.values()))

    def _translations(self, name: str) -> list[str]:
        found = files(self._folders)
        return [
            each
            for each in found
            if each.startswith(f"{name}.") and language_of(each) and "." not in each[len(name) + 1 :]
        ]

    def _translated(self, name: str, customer: Locale) -> str:
        """The template in the customer's language, else as it is."""
        known = self._translations(name)
        wanted = (f"{name}.{customer.language}_{customer.territory}", f"{name}.{customer.language}")
        return next((each for each in wanted if each in known), name)

    def _language(self, name: str, draft: str = "") -> str:
        """Which language a template is in: what its name or its frame's `<html lang>` says, else English."""
        found, file, seen = language_of(name), f"{name}.html", set[str]()
        if draft and not found:
            found, frame = _named(draft)
            file = frame or file
        while not found and file not in seen:
            seen.add(file)
            path = next((path for folder in self._folders if (path := folder / file).is_file()), None)
            if path is None:
                break
            found, frame = _told(path, path.stat().st_mtime_ns)
            file = frame or file
        return found or "en"

    def _load(self, name: str, draft: str = "") -> Template:
        try:
            template = self._html.from_string(draft) if draft else self._html.get_template(f"{name}.html")
            template.name = f"{name}.html"
            return template
        except TemplateNotFound as error:
            if error.name != f"{name}.html":
                raise TemplateProblem(f"there is no template '{error.name}'", template=f"{name}.html") from None
            hint = did_you_mean(name, names(self._folders))
            raise TemplateProblem(
                f"there is no template '{name}'{f'; {hint}' if hint else ''}",
                remedy=f"write templates/{name}.html in the project folder",
            ) from None
        except TemplateSyntaxError as error:
            raise syntax(error, f"{name}.html") from None
        except RecursionError:
            raise TemplateProblem("brackets or blocks are nested too deep", template=f"{name}.html") from None

    def _string(self, source: str, name: str) -> Template:
        try:
            template = self._strings(source)
        except TemplateSyntaxError as error:
            raise syntax(error, name) from None
        except RecursionError:
            raise TemplateProblem("brackets or blocks are nested too deep", template=name) from None
        template.name = name
        return template


@lru_cache(maxsize=256)
def _told(path: Path, _changed: int) -> tuple[str, str]:
    """The language that a file names, as Babel writes it, and the frame that it extends."""
    return _named(path.read_text("utf-8"))


def _named(source: str) -> tuple[str, str]:
    language, frame = _LANGUAGE.search(source), _EXTENDS.search(source)
    return known_language(language[1]) if language else "", frame[1] if frame else ""


def _flat(page: str, state: Rendering) -> None:
    """Raises TemplateProblem for elements that are nested so deep that the page's readers would die of it."""
    deep = 0
    for end, name in _ELEMENT.findall(page):
        if name.lower() not in _UNCLOSED:
            deep += -1 if end else 1
            if deep > DEEPEST:
                raise TemplateProblem(
                    f"more than {DEEPEST} elements are nested within each other, the last of them a <{name}>",
                    template=state.template,
                )


def _block(template: Template, context: Context, state: Rendering, name: str) -> str:
    """A block's text, of the most specific template that has it; '' when none has."""
    blocks = context.blocks.get(name)
    if not blocks:
        return ""
    try:
        return "".join(blocks[0](context))
    except Exception as error:
        raise runtime(error, state) from None
