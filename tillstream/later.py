"""Commands that are imported when they are called, and only then: `--help` and completion need their names alone."""

import importlib
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from tillstream.program import Sections


class Later(TyperCommand):
    """Stands in the list for a command that is not loaded; whoever calls it is given the real one's context."""

    def __init__(self, name: str, place: str, line: str) -> None:
        super().__init__(name, short_help=line, rich_markup_mode=None)
        self._place = place

    def load(self) -> Any:
        """The command itself, or the group of commands."""
        module, _, attribute = self._place.partition(":")
        found = getattr(importlib.import_module(f"tillstream.commands.{module}"), attribute)
        if isinstance(found, typer.Typer):
            return _whole_examples(typer.main.get_group(found))
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(self.name)(found)
        return _whole_examples(typer.main.get_command(app))

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Of the real command."""
        return self.load().make_context(info_name, args, parent, **extra)


def grouped(sections: Sections) -> type[TyperGroup]:
    """The class of a group that has these commands."""

    class Grouped(TyperGroup):
        """Lists its commands by what one does with them."""

        def __init__(self, **attrs: Any) -> None:
            super().__init__(**attrs | {"commands": dict(_commands(sections))})

        def format_commands(self, ctx: Any, formatter: Any) -> None:
            """A section each."""
            width = max(map(len, self.commands))
            for title, commands in sections.items():
                with formatter.section(title):
                    formatter.write_dl([(f"{name:<{width}}", line) for name, (_, line) in commands.items()])

    return Grouped


def _commands(sections: Sections) -> Iterator[tuple[str, Later]]:
    for commands in sections.values():
        for name, (place, line) in commands.items():
            yield name, Later(name, place, line)


def _whole_examples(command: Any) -> Any:
    """An example is to be copied: its line is never wrapped."""
    command.help = (command.help or "").replace("Example:", "\b\nExample:")
    for each in getattr(command, "commands", {}).values():
        _whole_examples(each)
    return command
