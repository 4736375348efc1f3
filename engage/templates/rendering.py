"""The templates of a project, for all who make mails or want to know whether one can be made.

Nothing of a template runs here: another process does it, within bounds on time, memory and depth, and answers with the
mail or with what is wrong, by template and line.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from engage.templates import places, renderer
from engage.templates.context import Values
from engage.templates.errors import Lack, TemplateProblem
from engage.templates.places import READY, Rendered

__all__ = ["Library", "Rendered"]

# One thread, since there is one process: those who wait for their mail take no thread from others.
_waiting = ThreadPoolExecutor(1, "mails")


class Library:
    """The templates of a project, and behind them the ready ones: a file of the same name takes a ready one's place.

    Each method raises TemplateProblem for what is wrong with a template, and Unavailable when the process in which
    templates are run can't be had.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self._folders = (*(folder.absolute() for folder in folders), READY)
        self._given = tuple(map(str, self._folders))

    def names(self) -> list[str]:
        """Every mail, without `.html`; what mails are built from (`_layout.html`) is left out."""
        return places.names(self._folders)

    def problem(self, name: str, subject: str = "") -> str:
        """Does the template make a mail? '' when it does, else what is wrong, with its file and line."""
        try:
            self.check(name, subject)
        except TemplateProblem as error:
            return str(error)
        return ""

    def check(self, name: str, subject: str = "", draft: str = "") -> None:
        """Nothing when the template `name` and the subject can be read, and make a mail of a made-up payment.

        `draft` is a text that would take the template's place.
        """
        self._ask("check", name, subject=subject, draft=draft)

    def check_text(self, source: str, name: str = "subject") -> None:
        """Nothing when a subject can be read as a template."""
        self._ask("check_text", source, name)

    def render(
        self, name: str, values: Values, *, subject: str = "", strict: bool = False, draft: str = ""
    ) -> Rendered:
        """The mail, in the customer's language when the template is translated into it.

        `subject` is a template that takes the place of the one that the template itself has, and `draft` a text that
        takes the template's place. When `strict`, MissingVariables is raised for all that the template asks for in
        vain; else blanks stand there, and `missing` names them.
        """
        made = self._ask("render", name, values, subject=subject, strict=strict, draft=draft)
        return Rendered(made["subject"], made["html"], made["text"], tuple(Lack(**lack) for lack in made["missing"]))

    async def rendered(self, name: str, values: Values, *, subject: str = "") -> Rendered:
        """The same, while this process does other things."""
        made = partial(self.render, name, values, subject=subject)
        return await asyncio.get_running_loop().run_in_executor(_waiting, made)

    def _ask(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return renderer.shared().ask(self._given, method, *args, **kwargs)
