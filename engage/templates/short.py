"""Short texts that are templates themselves, such as a property's value in a flow: expressions and `if`, on one line.

They are worked out where they are needed, in the middle of a decision. So they have none of what could take long:
neither loops nor macros nor other templates.
"""

from functools import lru_cache

from jinja2 import BaseLoader, Template, nodes
from jinja2.exceptions import TemplateSyntaxError

from engage.templates.context import Values
from engage.templates.errors import TemplateProblem
from engage.templates.limits import Rendering, rendering
from engage.templates.locales import written_in
from engage.templates.sandbox import Sandbox
from engage.templates.writing import one_line, run, syntax

LONGEST = 2_000  # characters


class _Short(Sandbox):
    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for node in tree.body[1:]:
            for each in (node, *node.find_all(nodes.Stmt)):
                if not isinstance(each, nodes.Output | nodes.If):
                    word = type(each).__name__.lower()
                    raise TemplateSyntaxError(f"a short text has expressions and `if`, and no {word}", each.lineno)
        return tree


_short = _Short(BaseLoader(), escape=False)


def check(source: str, name: str) -> None:
    """Raises TemplateProblem for a text that can't be read so; `name` is what it is for."""
    _read(source, name)


def render(source: str, values: Values, *, name: str = "value") -> str:
    """The text; what is missing is a blank. Raises TemplateProblem."""
    template = _read(source, name)
    state = Rendering(name, written_in("en", values.locale), values.timezone, values.currency, frozenset(values.names))
    with rendering(state):
        return one_line(run(template, template.new_context(dict(values.names)), state))


@lru_cache(maxsize=1024)
def _read(source: str, name: str) -> Template:
    if len(source) > LONGEST:
        raise TemplateProblem(f"more than {LONGEST:,} characters", template=name)
    try:
        template = _short.from_string(source)
    except TemplateSyntaxError as error:
        raise syntax(error, name) from None
    except RecursionError:
        raise TemplateProblem("brackets are nested too deep", template=name) from None
    template.name = name
    return template
