"""The form of a mail of blocks: its fields, what its buttons do, and the words on the screen. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from engage.templates.blocks import KINDS, MOST, Block, BlockMail, Wrong, cleaned

TITLES: Final = {
    "heading": "Heading",
    "text": "Text",
    "button": "Button",
    "items": "Items of the invoice",
    "image": "Image",
    "divider": "Divider",
}
_PAY: Final = "{{ event.InvoiceURL or organization.portal_url or organization.url }}"
#: What a button may lead to: the tag, and its words.
LINKS: Final = (
    (_PAY, "The invoice, else where customers pay"),
    ("{{ event.InvoiceURL or event.ReceiptURL or organization.url }}", "The invoice or receipt"),
    ("{{ organization.portal_url or organization.url }}", "Where customers change their card"),
    ("{{ organization.url }}", "Your web site"),
)
_NEW: Final = {"button": {"label": "Pay now", "link": _PAY}, "items": {"label": "Amount due"}}
_OF_MAIL: Final = ("about", "subject", "preheader", "footer")


@dataclass(frozen=True, slots=True)
class Field:
    """One input of a block: `kind` is line, text or address; `hint` stands in it while it is empty."""

    name: str
    label: str
    value: str
    kind: str = "line"
    hint: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class BlockCard:
    """One block of the form; `at` is its number, from 0."""

    at: int
    kind: str
    title: str
    fields: tuple[Field, ...]
    mistakes: tuple[str, ...] = ()


_LABELS: Final = {
    ("heading", "line"): ("Heading", "line", "What it is about", ""),
    ("text", "text"): (
        "Text",
        "text",
        "Write to one person.",
        "**bold** and [words](https://…) are all the markup; an empty line begins a paragraph.",
    ),
    ("button", "label"): ("Label", "line", "Pay now", ""),
    ("button", "link"): ("Leads to", "address", "https://", "Where the link is not known, the button is left out."),
    ("items", "label"): (
        "Label of the sum",
        "line",
        "Amount due",
        "Every line of the invoice with its amount; nothing when the event has none.",
    ),
    ("image", "source"): ("Address", "address", "https://shop.example/tea.png", "Mail programs fetch it from there."),
    ("image", "words"): ("In words", "line", "What is to be seen, for those who don’t see it", ""),
    ("image", "link"): ("Leads to", "address", "nowhere", ""),
}


def read(posted: Mapping[str, str]) -> BlockMail:
    """The mail of the form's fields, as it is kept."""
    numbers = sorted(int(at) for name in posted for at, _, what in [name.partition(":")] if what == "kind" and _is(at))
    blocks = [
        Block(kind, {name: posted.get(f"{at}:{name}", "") for name in KINDS[kind]})
        for at in numbers
        if (kind := posted[f"{at}:kind"]) in KINDS
    ]
    return cleaned(BlockMail(blocks=tuple(blocks), **{name: posted.get(f":{name}", "") for name in _OF_MAIL}))


def fields(mail: BlockMail) -> dict[str, str]:
    """The form's fields of a mail: `read` is its inverse."""
    told = {f":{name}": getattr(mail, name) for name in _OF_MAIL}
    for at, block in enumerate(mail.blocks):
        told[f"{at}:kind"] = block.kind
        told |= {f"{at}:{name}": block[name] for name in KINDS[block.kind]}
    return told


def packed(mail: BlockMail) -> str:
    """The mail in one field."""
    return json.dumps(fields(mail), ensure_ascii=False)


def unpacked(text: str) -> BlockMail:
    """What `packed` made; an empty mail of anything else."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return BlockMail()
    return read({str(k): str(v) for k, v in told.items()}) if isinstance(told, dict) else BlockMail()


def done(mail: BlockMail, do: str) -> BlockMail:
    """After a button: `add:AT:KIND`, `remove:AT`, `up:AT`, `down:AT` or `copy:AT`; of what there isn't, the same."""
    what, _, rest = do.partition(":")
    number, _, kind = rest.partition(":")
    at, blocks = int(number) if _is(number) else -1, list(mail.blocks)
    if what == "add" and kind in KINDS and 0 <= at <= len(blocks) < MOST:
        blocks.insert(at, Block(kind, {name: _NEW.get(kind, {}).get(name, "") for name in KINDS[kind]}))
    elif not 0 <= at < len(blocks):
        return mail
    elif what == "remove":
        del blocks[at]
    elif what == "copy" and len(blocks) < MOST:
        blocks.insert(at, blocks[at])
    elif what in ("up", "down"):
        to = at + (-1 if what == "up" else 1)
        if 0 <= to < len(blocks):
            blocks[at], blocks[to] = blocks[to], blocks[at]
    return replace(mail, blocks=tuple(blocks))


def focus(do: str) -> str:
    """The id of where one goes on."""
    what, _, rest = do.partition(":")
    number = rest.partition(":")[0]
    if what == "remove":
        return "undo"
    if not _is(number) or what not in ("add", "copy", "up", "down"):
        return ""
    return f"step-{int(number) + {'up': -1, 'down': 1, 'copy': 1}.get(what, 0)}"


def cards(mail: BlockMail, wrong: list[Wrong], *, empty: bool = False) -> tuple[BlockCard, ...]:
    """The blocks, with what is wrong with each; `empty`: also what is still to be filled."""
    return tuple(
        BlockCard(
            at,
            block.kind,
            TITLES[block.kind],
            tuple(_field(at, block, name) for name in KINDS[block.kind]),
            tuple(one.text for one in wrong if one.block == at and (empty or not one.empty)),
        )
        for at, block in enumerate(mail.blocks)
    )


def _field(at: int, block: Block, name: str) -> Field:
    label, kind, hint, note = _LABELS[block.kind, name]
    return Field(f"{at}:{name}", label, block[name], kind, hint, note)


def _is(number: str) -> bool:
    return number.isascii() and number.isdigit() and len(number) < 4
