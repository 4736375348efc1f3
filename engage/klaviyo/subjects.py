"""A subject line in Klaviyo's (Django's) template language as ours: filters' arguments in brackets, names in full.

Source: Klaviyo, "Template tags and variable syntax": {{ first_name|default:'there' }}, {{ event|lookup:'Some Key' }}.
"""

import re

from engage.klaviyo.refusals import Report
from engage.templates.errors import TemplateProblem
from engage.templates.rendering import Library

_ARGUMENT = re.compile(r"""\|\s*(\w+)\s*:\s*('[^']*'|"[^"]*"|[\w.]+)""")
_SHORT = re.compile(r"(?<![\w.'\"|])(first_name|last_name|email)\b(?!\s*[('\"])")
_EXPRESSION = re.compile(r"\{\{.*?\}\}")
_library = Library()


def subject(report: Report, path: str, given: str) -> str:
    """The subject line in our syntax. Raises Refused when it can't be read even so."""
    written = _EXPRESSION.sub(lambda found: _SHORT.sub(r"person.\1", _ARGUMENT.sub(r"|\1(\2)", found[0])), given)
    try:
        _library.check_text(written)
    except TemplateProblem as error:
        raise report.refuse(path, f"subject '{given}'", str(error)) from None
    return written
