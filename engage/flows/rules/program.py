"""A flow's steps as a flat list: what a waiting run remembers is the id of one of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from engage.flows.model import Flow
from engage.flows.steps import Kind, Split, Step, TriggerSplit, walk

END = -1


@dataclass(slots=True)
class Instruction:
    """One step. `after` is the place of the one that follows; of a split, `other` is where its `else` begins."""

    id: str
    kind: Kind
    after: int = END
    other: int = END


@dataclass(frozen=True, slots=True)
class Program:
    """A flow, ready to run."""

    flow: Flow
    instructions: tuple[Instruction, ...]
    places: dict[str, int] = field(default_factory=dict)

    def place(self, step_id: str) -> int | None:
        """Where the step of this id is now; None when the flow has been changed and it is gone."""
        return self.places.get(step_id)


def compile_flow(flow: Flow) -> Program:
    """Its steps, laid in the order of the file, splits before what is inside of them."""
    instructions: list[Instruction] = []
    ids = names((step.kind.KIND, step.id or "") for step in walk(flow.steps))

    def lay(steps: tuple[Step, ...], follows: list[tuple[Instruction, str]]) -> list[tuple[Instruction, str]]:
        """Put `steps` down; `follows` are the open ends that lead to the first, the answer those that lead on."""
        for step in steps:
            kind = step.kind
            instruction = Instruction(next(ids), kind)
            place = len(instructions)
            instructions.append(instruction)
            for before, end in follows:
                setattr(before, end, place)
            if isinstance(kind, Split | TriggerSplit):
                follows = [
                    *lay(kind.then, [(instruction, "after")]),
                    *lay(kind.otherwise, [(instruction, "other")]),
                ]
            else:
                follows = [(instruction, "after")]
        return follows

    lay(flow.steps, [])
    places = {instruction.id: place for place, instruction in enumerate(instructions)}
    return Program(flow, tuple(instructions), places)


def names(steps: Iterable[tuple[str, str]]) -> Iterator[str]:
    """How steps are called, of their kinds and ids in the order of the file.

    Those without an id get one of their kind and number (`email-2`), counted through the whole flow.
    """
    steps = list(steps)
    counts: dict[str, int] = {}
    taken = {step_id for _, step_id in steps if step_id}
    for kind, step_id in steps:
        counts[kind] = counts.get(kind, 0) + 1
        name = step_id or _free(f"{kind}-{counts[kind]}", taken)
        taken.add(name)
        yield name


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "-"
    return name
