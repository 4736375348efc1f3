"""A mail of blocks: a template of fixed shape, which people read and compare as text, and menus can edit. Pure.

`write` makes the template of a `BlockMail`, and `parse` is its inverse: a template that is not exactly what `write`
makes is none of blocks, and edited as HTML. The fields are text with tags (`engage.templates.inline`).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from engage.templates import inline
from schemas.metrics import Metric

MOST: Final = 40  # blocks
LONGEST: Final = {"text": 5_000, "subject": 250}  # characters of a field
_LONGEST_LINE: Final = 500

#: The fields of each kind, in the order in which they are shown.
KINDS: Final = {
    "heading": ("line",),
    "text": ("text",),
    "button": ("label", "link"),
    "items": ("label",),
    "image": ("source", "words", "link"),
    "divider": (),
}
_LINKS: Final = ("link", "source")
_METRICS: Final = frozenset(metric.value for metric in Metric)
_WORDS: Final = {"label": "label", "link": "link", "source": "image's address"}
_ITEMS: Final = "{{ mail.bill(event, event.line_items, label) if event.line_items }}"
_BODIES: Final = {
    "heading": "<h1>«line»</h1>",
    "text": "«text»",
    "button": "{% set label %}«label»{% endset %}\n{% set link %}«link»{% endset %}\n{{ mail.button(link, label) }}",
    "items": "{% set label %}«label»{% endset %}\n" + _ITEMS,
    "image": (
        "{% set source %}«source»{% endset %}\n{% set words %}«words»{% endset %}\n{% set link %}«link»{% endset %}\n"
        "{{ mail.image(source, words, link) }}"
    ),
    "divider": "{{ mail.divider() }}",
}
_HEAD: Final = """{# Blocks for «about» #}
{% extends "_layout.html" %}
{% import "_parts.html" as mail %}
{% block subject %}«subject»{% endblock %}
{% block preheader %}«preheader»{% endblock %}

{% block content %}
"""
_FOOT: Final = "{% endblock %}\n"
_FOOTER: Final = "\n{% block reason %}«footer»{% endblock %}\n"
_BEGINS: Final = re.compile(r"^\{# (\w+) #\}$", re.MULTILINE)
_PLACE: Final = re.compile("«(\\w+)»")


@dataclass(frozen=True, slots=True)
class Block:
    """One block; `fields` has those of its kind (`KINDS`), '' for what is left out."""

    kind: str
    fields: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.fields.get(name, "")


@dataclass(frozen=True, slots=True)
class BlockMail:
    """A mail; `about` is the metric whose event it tells of, or '' when it is about a person alone.

    `footer` says why somebody gets it, '' for the usual words; postal address and unsubscribe link follow always.
    """

    about: str = ""
    subject: str = ""
    preheader: str = ""
    blocks: tuple[Block, ...] = ()
    footer: str = ""


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with a field: of the block of that number, or, when it is -1, of the mail itself.

    `empty`: nothing is but that it is still to be filled; it can be shown so, and not be saved.
    """

    block: int
    name: str
    text: str
    empty: bool = False


def cleaned(mail: BlockMail) -> BlockMail:
    """The same with every field as it is kept: blanks are one, and what no mail can hold is gone."""
    blocks = [
        Block(each.kind, {name: _clean(name, each[name]) for name in KINDS[each.kind]})
        for each in mail.blocks
        if each.kind in KINDS
    ]
    told = {name: inline.line(getattr(mail, name)) for name in ("subject", "preheader", "footer")}
    return BlockMail(mail.about if mail.about in _METRICS else "", blocks=tuple(blocks), **told)


def mistakes(mail: BlockMail) -> list[Wrong]:
    """What keeps a mail from being written, and what customers would stumble over."""
    found = [Wrong(-1, name, why) for name in ("subject", "preheader", "footer") if (why := _why(name, mail, -1))]
    if not mail.subject:
        found.append(Wrong(-1, "subject", "a mail needs a subject", empty=True))
    if len(mail.blocks) > MOST:
        found.append(Wrong(MOST, "", f"a mail has at most {MOST} blocks"))
    for number, block in enumerate(mail.blocks):
        found += [Wrong(number, name, why) for name in KINDS[block.kind] if (why := _why(name, block, number))]
        needed = {"button": ("label", "link"), "image": ("source",)}.get(block.kind, KINDS[block.kind])
        found += [
            Wrong(number, name, f"the {_WORDS.get(name, block.kind)} is empty", True)
            for name in needed
            if not block[name]
        ]
    return found


def write(mail: BlockMail) -> str:
    """The template. The mail is `cleaned` and has no `mistakes`."""
    about = mail.about or "a person"
    text = _filled(_HEAD, {"about": about, "subject": mail.subject, "preheader": mail.preheader})
    for block in mail.blocks:
        text += f"{{# {block.kind} #}}\n{_filled(_BODIES[block.kind], block.fields)}\n\n"
    text += _FOOT
    return text + _filled(_FOOTER, {"footer": mail.footer}) if mail.footer else text


def parse(text: str) -> BlockMail | None:
    """The mail that is written so; None for a template that is not made of blocks."""
    head = re.match(_pattern(_HEAD), text)
    if head is None:
        return None
    content, ends, rest = text[head.end() :].partition("\n" + _FOOT) if head else ("", "", "")
    if not ends:  # no block at all
        content, ends, rest = "", *text[head.end() :].partition(_FOOT)[1:]
    foot = re.fullmatch(_pattern(_FOOTER), rest) if rest else None
    kinds = _BEGINS.split(content + "\n" if content else "")
    blocks = [_read(kind, body.strip("\n")) for kind, body in zip(kinds[1::2], kinds[2::2], strict=True)]
    if not ends or None in blocks:
        return None
    about = head["about"] if head["about"] != "a person" else ""
    told = {name: _back(name, head[name]) for name in ("subject", "preheader")}
    footer = _back("footer", foot["footer"]) if foot else ""
    mail = BlockMail(about, blocks=tuple(each for each in blocks if each), footer=footer, **told)
    return mail if cleaned(mail) == mail and not _unreadable(mail) and write(mail) == text else None


def place(text: str, line: int) -> int:
    """The number of the block that the template's line belongs to; -1 for what is before the first."""
    return len(_BEGINS.findall("\n".join(text.split("\n")[:line]))) - 1


def _unreadable(mail: BlockMail) -> bool:
    """Whether a field has what `write` would not keep apart from the template's own."""
    texts = [mail.subject, mail.preheader, mail.footer, *(each[name] for each in mail.blocks for name in each.fields)]
    return any(map(inline.wrong, texts))


def _clean(name: str, text: str) -> str:
    return inline.lines(text) if name == "text" else inline.line(text)


def _why(name: str, owner: Block | BlockMail, number: int) -> str:
    text = owner[name] if isinstance(owner, Block) else getattr(owner, name)
    longest = LONGEST.get(name, _LONGEST_LINE)
    if len(text) > longest:
        return f"more than {longest:,} characters"
    if name == "source" and text and not text.startswith(("https://", "http://", "{{")):
        return "an image's address begins with https://"
    return inline.wrong_link(text) if name in _LINKS else inline.wrong(text)


def _filled(shape: str, fields: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda found: _made(found[1], fields.get(found[1], "")), shape)


def _made(name: str, text: str) -> str:
    if name == "text":
        paragraphs = ("<br>\n".join(map(inline.to_html, part.split("\n"))) for part in text.split("\n\n"))
        return "\n".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    return (inline.to_html if name in ("line", "footer") else inline.plain_html)(text)


def _back(name: str, made: str) -> str:
    if name == "text":
        paragraphs = re.findall("<p>(.*?)</p>", made, re.DOTALL)
        return "\n\n".join("\n".join(map(inline.from_html, part.split("<br>\n"))) for part in paragraphs)
    back: Callable[[str], str] = inline.from_html if name in ("line", "footer") else inline.from_plain
    return back(made)


def _read(kind: str, body: str) -> Block | None:
    found = re.fullmatch(_pattern(_BODIES[kind]), body, re.DOTALL) if kind in _BODIES else None
    return Block(kind, {name: _back(name, made) for name, made in found.groupdict().items()}) if found else None


def _pattern(shape: str) -> str:
    parts = _PLACE.split(shape)
    return "".join(f"(?P<{part}>.*?)" if number % 2 else re.escape(part) for number, part in enumerate(parts))
