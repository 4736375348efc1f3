"""Where in its HTML a template's expressions stand: in text and in quoted attributes only, where escaping holds. Pure.

A value can end an attribute that has no quotes by a blank, and be a new attribute, such as `onclick`. So the template's
own text is read as a browser reads it, along every way through its `if`s and loops.
"""

import re

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError

_TEXT, _COMMENT, _DECLARATION, _TAG, _VALUE, _BARE, _DOUBLE, _SINGLE = range(8)
# What ends each state, and what follows. Of a tag: after `=` comes a value; quotes begin one only there.
_NEXT = {
    _TEXT: re.compile(r"<(?:(?P<comment>!--)|(?P<declaration>[!?])|(?P<tag>/?[a-zA-Z]))"),
    _COMMENT: re.compile(r"(?P<text>--!?>)"),
    _DECLARATION: re.compile(r"(?P<text>>)"),
    _TAG: re.compile(r"(?P<text>>)|(?P<value>=)"),
    _VALUE: re.compile(r"(?P<text>>)|(?P<double>\")|(?P<single>')|(?P<bare>[^\s>\"'])"),
    _BARE: re.compile(r"(?P<text>>)|(?P<tag>\s)"),
    _DOUBLE: re.compile(r"(?P<tag>\")"),
    _SINGLE: re.compile(r"(?P<tag>')"),
}
_STATES = {
    "text": _TEXT,
    "comment": _COMMENT,
    "declaration": _DECLARATION,
    "tag": _TAG,
    "value": _VALUE,
    "bare": _BARE,
    "double": _DOUBLE,
    "single": _SINGLE,
}
_SAFE = frozenset((_TEXT, _COMMENT, _DOUBLE, _SINGLE))

States = frozenset[int]
_BEGIN: States = frozenset((_TEXT,))


def check(tree: nodes.Template) -> None:
    """Raises TemplateSyntaxError for an expression that stands in a tag without quotes round it."""
    _body(tree.body, _BEGIN)


def _body(body: list[nodes.Node], states: States) -> States:
    for node in body:
        states = _node(node, states)
    return states


def _node(node: nodes.Node, states: States) -> States:
    """The states in which the page may be after the node."""
    match node:
        case nodes.Output():
            for part in node.nodes:
                if isinstance(part, nodes.TemplateData):
                    states = frozenset(_after(part.data, state) for state in states)
                else:
                    _hold(part, states)
        case nodes.If():
            ways = [node.body, *(way.body for way in node.elif_), node.else_]
            states = frozenset().union(*(_body(way, states) for way in ways))
        case nodes.For():
            known = states
            while not (after := _body(node.body, known)) <= known:
                known |= after
            states = known | _body(node.else_, states)
        case nodes.Block():
            _hold(node, states)  # another template may fill it
            states = _body(node.body, _BEGIN if states <= {_TEXT} else states)
        case nodes.Include() | nodes.CallBlock():
            _hold(node, states)
            if isinstance(node, nodes.CallBlock):
                _body(node.body, _BEGIN)
        case nodes.Macro() | nodes.AssignBlock():
            _body(node.body, _BEGIN)
        case nodes.FilterBlock() | nodes.With() | nodes.Scope():
            states = _body(node.body, states)
    return states


def _hold(node: nodes.Node, states: States) -> None:
    if not states <= _SAFE:
        raise TemplateSyntaxError('put quotes round an attribute\'s value: href="{{ … }}"', node.lineno)


def _after(text: str, state: int) -> int:
    at = 0
    while found := _NEXT[state].search(text, at):
        assert found.lastgroup is not None
        at, state = found.end(), _STATES[found.lastgroup]
    # What follows would be the name of an element.
    return _TAG if state == _TEXT and text.endswith(("<", "</")) else state
