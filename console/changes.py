"""What revisions changed: line by line, and in words where that is cheap."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from engage.conditions import words as telling
from engage.conditions.reading import parse as parse_segment
from engage.flows import words
from engage.flows.reading import parse as parse_flow
from engage.flows.rules.program import compile_flow
from engage.templates import brand
from schemas.definitions import Kind, Revision
from schemas.errors import ConfigurationError

_AROUND: Final = 2  # lines that stay, shown around those that change
_LONGEST: Final = 400  # lines of a difference
_EXACT: Final = 1_000_000  # pairs of lines, above which it is enough that a difference is true

Sign = Literal["+", "-", " ", "…"]


@dataclass(frozen=True, slots=True)
class Change:
    """A revision and what it changed of its parent. `taken`: it ran; `head`: it does now.

    `words` are sentences; `lines` the difference, each with its sign: … stands for lines that are left out.
    """

    revision: Revision
    taken: bool
    head: bool
    words: tuple[str, ...]
    lines: tuple[tuple[Sign, str], ...]


def changes(history: Sequence[Revision], taken: Sequence[Revision]) -> list[Change]:
    """Of each revision of `history`, in its order."""
    by_id = {each.id: each for each in history}
    ran = {each.id for each in taken}
    return [
        Change(
            each,
            each.id in ran,
            bool(taken) and each.id == taken[-1].id,
            tuple(_words(each, by_id.get(each.parent), taken)),
            tuple(difference(by_id[each.parent].text if each.parent in by_id else "", each.text)),
        )
        for each in history
    ]


def difference(old: str, new: str) -> list[tuple[Sign, str]]:
    """The lines that are gone (-) and that are new (+), with some that stay around them."""
    before, after = old.splitlines(), new.splitlines()
    found: list[tuple[Sign, str]] = []
    long = len(before) * len(after) > _EXACT
    for group in difflib.SequenceMatcher(None, before, after, autojunk=long).get_grouped_opcodes(_AROUND):
        if found or group[0][1]:
            found.append(("…", ""))
        for what, i, j, k, m in group:
            if what == "equal":
                found += [(" ", line) for line in before[i:j]]
                continue
            found += [("-", line) for line in before[i:j]]
            found += [("+", line) for line in after[k:m]]
    return found if len(found) <= _LONGEST else [*found[:_LONGEST], ("…", "")]


def _words(now: Revision, before: Revision | None, taken: Sequence[Revision]) -> Iterable[str]:
    if before is None:
        yield "The first one."
        return
    if now.archived != before.archived:
        yield "Archived." if now.archived else "Brought back."
    if now.text == before.text:
        return
    number = next((at for at, each in enumerate(taken) if each.id == before.id), 0)
    if any(each.text == now.text for each in taken[:number]):
        yield "As it was before."
    old, new = _told(before), _told(now)
    if old is None or new is None:
        return
    yield from (f"No longer: {each}" for each in old if each not in new)
    yield from (f"New: {each}" for each in new if each not in old)


def _told(of: Revision) -> list[str] | None:
    """Each thing that a text says, in words; None when it can't be read."""
    try:
        if of.kind is Kind.SEGMENT:
            return [telling.sentence(leaf) for leaf in parse_segment(of.text, of.name).leaves()]
        if of.kind is Kind.FLOW:
            flow = parse_flow(of.text, of.name)
            steps = [words.step(each.kind) for each in compile_flow(flow).instructions]
            return [f"status {flow.status}", f"starts with {words.trigger(flow)}", *words.rules(flow), *steps]
        if of.kind is Kind.BRAND:
            look = brand.read(of.text).model_dump()
            return [f"{name} {'uploaded' if told.startswith('data:') else told}" for name, told in look.items() if told]
    except ConfigurationError:
        pass
    return None
