"""Jinja's sandbox with narrower walls: only data, only harmless filters, and every loop and text counted."""

from collections.abc import Mapping
from typing import Any

from jinja2 import BaseLoader, Undefined, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.runtime import Context, LoopContext, Macro, markup_join, str_join
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, pass_context

from engage.templates import filters, quoting
from engage.templates.errors import did_you_mean
from engage.templates.limits import LARGEST_NUMBER, LARGEST_RANGE, current
from engage.templates.scope import Missing, Scope

NAMES = frozenset(("event", "person", "organization", "unsubscribe_url", "language"))  # what every mail is given
_TEXT = frozenset("lower upper title capitalize strip lstrip rstrip split startswith endswith".split())
_MAPPING = frozenset("items keys values get".split())
_PARTS = (nodes.Macro, nodes.CallBlock, nodes.Block, nodes.Template)  # what can be called from elsewhere, and itself


class Sandbox(ImmutableSandboxedEnvironment):
    """Templates of this environment can read what they are given, and nothing else."""

    intercepted_binops = frozenset(("+", "*", "**", "%", "//"))

    def __init__(self, loader: BaseLoader, *, escape: bool = True) -> None:
        super().__init__(
            loader=loader,
            autoescape=escape,
            undefined=Missing,
            finalize=_finalize,
            optimized=False,  # nothing is worked out before it is known for whom
            auto_reload=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        own = {"_counted": _counted, "_called": _called, "_joined": _joined, "_weighed": _weighed}
        self.filters = {**filters.allowed(), **own}
        self.globals = {"range": _range, "namespace": Namespace}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        _guard(tree, self.autoescape is True)
        return tree

    def check_names(self, name: str, draft: str = "") -> None:
        """Raises TemplateSyntaxError for a name that no mail will ever have, such as `evnt`."""
        assert self.loader is not None
        source, filename = (draft, None) if draft else self.loader.get_source(self, name)[:2]
        tree = super()._parse(source, name, filename)
        known = {*NAMES, *self.globals, "self", "loop", "caller", "varargs", "kwargs", *_declared(tree)}
        for used in tree.find_all(nodes.Name):
            if used.ctx == "load" and used.name not in known:
                hint = did_you_mean(used.name, NAMES)
                raise TemplateSyntaxError(
                    f"there is no '{used.name}'{f'; {hint}' if hint else ''}", used.lineno, name, filename
                )

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A key of a scope comes before anything else."""
        if isinstance(obj, Scope) and attribute in obj:
            return obj[attribute]
        if isinstance(obj, Scope) and attribute not in _MAPPING:
            return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`event['Some Key']`, and positions in lists."""
        if isinstance(obj, Scope):
            return obj[argument] if argument in obj else self.undefined(obj=obj, name=str(argument))
        return super().getitem(obj, argument)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Of texts and mappings only methods that can't run away; of all others nothing but what Jinja itself made."""
        if isinstance(obj, str):
            return attr in _TEXT
        if isinstance(obj, Mapping):
            return attr in _MAPPING
        allowed = isinstance(obj, LoopContext | Macro | Missing | Namespace) or hasattr(obj, "_body_stream")
        return allowed and super().is_safe_attribute(obj, attr, value)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        """Never a blank: asking for it is a mistake or worse."""
        raise SecurityError(f"'{attribute}' of a {type(obj).__name__}")

    def wrap_str_format(self, value: Any) -> None:
        """No `'…'.format()`: its widths have no bound."""

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic whose result stays small."""
        if operator in ("*", "+"):
            sizes = [len(part) if isinstance(part, str | list | tuple) else None for part in (left, right)]
            if operator == "*" and any(size is not None for size in sizes):
                raise SecurityError("text and lists can't be multiplied")
            filters.fits(sum(size or 0 for size in sizes))
            if isinstance(left, list | tuple) and isinstance(right, list | tuple):
                current().weigh((left, right))
        elif isinstance(left, str):
            raise SecurityError(f"'{operator}' does not work on text")
        for number in (left, right):
            if isinstance(number, int | float) and abs(number) > LARGEST_NUMBER:
                raise SecurityError("the number is too large")
        if operator == "**" and isinstance(right, int | float) and abs(right) > 64:
            raise SecurityError("the power is too large")
        return super().call_binop(context, operator, left, right)


@pass_context
def _finalize(_: Context, value: Any) -> Any:
    """Every printed value is counted; None prints as nothing."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    current().spend(0, len(text))
    return text


@pass_context
def _counted(_: Context, values: Any, static: int) -> Any:
    """What a loop goes over, paid for: `static` characters a turn."""
    if isinstance(values, Missing | Mapping):
        values = tuple(values)
    elif not isinstance(values, list | tuple | range):
        values = tuple(value for value, _ in zip(values, range(LARGEST_RANGE * 10), strict=False))
    current().spend(len(values), len(values) * static)
    return values


@pass_context
def _called(_: Context, static: int) -> str:
    current().spend(1, static)
    return ""


@pass_context
def _joined(context: Context, values: list[Any]) -> Any:
    """`a ~ b`, with a bound."""
    parts = [_finalize(context, value) for value in values]
    return markup_join(parts) if context.eval_ctx.autoescape else str_join(parts)


@pass_context
def _weighed(_: Context, value: Any) -> Any:
    """A list that the template writes, which may hold others many times over."""
    return current().weigh(value)


def _range(*args: int) -> range:
    numbers = range(*args)
    if len(numbers) > LARGEST_RANGE:
        raise SecurityError(f"a range of more than {LARGEST_RANGE:,}")
    return numbers


def _declared(tree: nodes.Template) -> set[str]:
    """Every name that the template itself gives to something, wherever."""
    names = {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"}
    names |= {macro.name for macro in tree.find_all(nodes.Macro)}
    names |= {imported.target for imported in tree.find_all(nodes.Import)}
    for imports in tree.find_all(nodes.FromImport):
        names |= {name[1] if isinstance(name, tuple) else name for name in imports.names}
    return names


def _guard(tree: nodes.Template, html: bool) -> None:
    """Rewrite the tree so that loops, calls, `~` and lists pay for what they do; refuse what undoes escaping."""
    for modifier in tree.find_all(nodes.EvalContextModifier):
        raise TemplateSyntaxError("a template can't change how values are escaped", modifier.lineno)
    if html:
        quoting.check(tree)
    for loop in tree.find_all(nodes.For):
        loop.iter = _filter(loop.iter, "_counted", _static(loop.body), loop.lineno)  # type: ignore[arg-type]
    parts: list[Any] = [tree, *tree.find_all(_PARTS)]
    for part in parts:
        static = 0 if part is tree else _static(part.body)
        paid = _filter(nodes.Const(static, lineno=part.lineno), "_called", None, part.lineno)
        part.body.insert(0, nodes.ExprStmt(paid, lineno=part.lineno))
    _pay(tree)


def _static(body: list[nodes.Node]) -> int:
    found = (data for part in body for data in (part, *part.find_all(nodes.TemplateData)))
    return sum(len(data.data) for data in found if isinstance(data, nodes.TemplateData))


def _filter(value: nodes.Expr, name: str, argument: int | None, line: int) -> nodes.Filter:
    args: list[nodes.Expr] = [] if argument is None else [nodes.Const(argument, lineno=line)]
    return nodes.Filter(value, name, args, [], None, None, lineno=line)


def _pay(node: nodes.Node) -> None:
    """Have `a ~ b`, and lists that are not plain ones, go through a filter that knows their size."""
    for child in node.iter_child_nodes():
        _pay(child)
    for field, value in node.iter_fields():
        if isinstance(value, list):
            value[:] = [_paid(item) for item in value]
        else:
            setattr(node, field, _paid(value))


def _paid(value: Any) -> Any:
    if isinstance(value, nodes.Concat):
        return _filter(nodes.List(value.nodes, lineno=value.lineno), "_joined", None, value.lineno)
    made = isinstance(value, nodes.List | nodes.Dict) or (isinstance(value, nodes.Tuple) and value.ctx == "load")
    if made and not all(isinstance(each, nodes.Const) for each in value.items):
        return _filter(value, "_weighed", None, value.lineno)
    return value
