"""What people write in a block's field, as HTML with Jinja's tags, and back. Pure.

A field is text with `{{ tags }}`; **bold** and [words](https://…) are all the markup there is. Whatever else stands in
it is text: it is escaped, and what could begin a statement of Jinja's is refused.
"""

import html
import re
import unicodedata
from typing import Final

from engage.templates import short
from engage.templates.errors import TemplateProblem

_TAG: Final = r"\{\{(?:(?!\}\}).)*\}\}"
_ADDRESS: Final = rf"(?:https?://|mailto:|tel:|(?=\{{\{{))(?:{_TAG}|[^\s(){{}}<>\"'])+"
_WRITTEN: Final = re.compile(
    rf"(?P<tag>{_TAG})"
    rf"|\*\*(?P<bold>(?:{_TAG}|\{{(?!\{{)|[^*\n{{])+)\*\*"
    rf"|\[(?P<words>(?:{_TAG}|\{{(?!\{{)|[^\[\]\n{{])+)\]\((?P<to>{_ADDRESS})\)"
)
_MADE: Final = re.compile(
    rf"(?P<tag>{_TAG})|(?P<bold></?strong>)"
    rf'|<a href="(?P<to>(?:{_TAG}|[^"])*)">(?P<words>(?:{_TAG}|[^<])*)</a>'
)
_LINK: Final = re.compile(rf"(?:{_ADDRESS})?")


def line(text: str) -> str:
    """On one line, without what no mail can hold."""
    return " ".join(filter(None, map(_kept, _lines(text))))


def lines(text: str) -> str:
    """On many: an empty line begins another paragraph."""
    kept = "\n".join(map(_kept, _lines(text)))
    return re.sub(r"\n{3,}", "\n\n", kept).strip("\n")


def wrong(text: str) -> str:
    """What is wrong with a field's tags; '' when they can be read. Whether their names are known is asked later."""
    if "{%" in text or "{#" in text:
        return "a text knows {{ tags }} only: {% … %} and {# … #} are for a mail in HTML"
    tags = re.findall(_TAG, text)
    if "{{" in re.sub(_TAG, "", text):
        return "a tag that begins with {{ does not end with }}"
    for tag in tags:
        try:
            short.check(tag, "tag")
        except TemplateProblem as error:
            return f"{tag}: {error.reason}"
    return ""


def wrong_link(text: str) -> str:
    """What is wrong with an address; '' for one that mails can lead to, and for none."""
    if _LINK.fullmatch(text):
        return wrong(text)
    return "an address begins with https://, mailto: or tel:, or is a tag, and has no blanks, brackets or quotes"


def to_html(text: str) -> str:
    """A line as HTML."""
    made, at = "", 0
    for found in _WRITTEN.finditer(text):
        made += _escaped(text[at : found.start()])
        at = found.end()
        if found["tag"]:
            made += found["tag"]
        elif found["bold"]:
            made += f"<strong>{to_html(found['bold'])}</strong>"
        else:
            made += f'<a href="{plain_html(found["to"])}">{plain_html(found["words"])}</a>'
    return made + _escaped(text[at:])


def from_html(made: str) -> str:
    """The line that `to_html` makes this HTML of."""
    text, at = "", 0
    for found in _MADE.finditer(made):
        text += html.unescape(made[at : found.start()])
        at = found.end()
        if found["tag"]:
            text += found["tag"]
        elif found["bold"]:
            text += "**"
        else:
            text += f"[{from_plain(found['words'])}]({from_plain(found['to'])})"
    return text + html.unescape(made[at:])


def plain_html(text: str) -> str:
    """A line with tags and no markup, for a text and for an attribute in quotes."""
    parts = re.split(f"({_TAG})", text)
    return "".join(part if number % 2 else _escaped(part) for number, part in enumerate(parts))


def from_plain(made: str) -> str:
    """The line that `plain_html` makes this of."""
    parts = re.split(f"({_TAG})", made)
    return "".join(part if number % 2 else html.unescape(part) for number, part in enumerate(parts))


def _escaped(text: str) -> str:
    """As text of HTML and of an attribute in quotes; a bracket would join one of Jinja's behind it."""
    return html.escape(text).replace("{", "&#123;")


def _lines(text: str) -> list[str]:
    return re.split("\r\n|[\r\n\x85\u2028\u2029]", text)


def _kept(text: str) -> str:
    blank = re.sub("[\t\f\v]", " ", text)
    kept = "".join(char for char in blank if unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp"))
    return re.sub(" {2,}", " ", kept).strip()
