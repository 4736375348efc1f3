"""Mails as the editor's pages show them."""

from dataclasses import dataclass

from engage.templates.blocks import BlockMail
from engage.templates.brand import Brand
from engage.templates.context import Organization
from engage.templates.tags import Tag


@dataclass(frozen=True, slots=True)
class Use:
    """A step of a flow that sends the mail; `subject` and `sender` are the step's own, '' for none."""

    flow: str
    title: str
    status: str
    step: str
    subject: str
    sender: str


@dataclass(frozen=True, slots=True)
class MailFile:
    """A template. `ready`: it came with Tillstream; `over`: it takes a ready one's place.

    `mail` is None for one that is not made of blocks; `about` is the metric whose event it is shown with.
    """

    name: str
    title: str
    language: str
    ready: bool
    over: bool
    path: str
    text: str
    mail: BlockMail | None
    about: str
    uses: tuple[Use, ...] = ()

    @property
    def live(self) -> tuple[Use, ...]:
        """The steps of flows that act."""
        return tuple(use for use in self.uses if use.status != "draft")


@dataclass(frozen=True, slots=True)
class Seen:
    """A mail that is being edited, as somebody would get it; `problem` says why it can't be made, and `line` where.

    `made_up`: there is no such event yet. `blanks` is what it asks for and this event and person don't have.
    """

    subject: str = ""
    sender: str = ""
    to: str = ""
    html: str = ""
    text: str = ""
    metric_id: str = ""
    made_up: bool = False
    blanks: tuple[str, ...] = ()
    tags: tuple[Tag, ...] = ()
    problem: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class BrandFile:
    """The brand's file; `settings` has what comes before it, and `problem` says why it can't be read.

    `unreachable` is why customers' mail programs could not fetch an uploaded logo, '' when they can.
    """

    text: str
    brand: Brand
    settings: Organization
    unreachable: str = ""
    problem: str = ""
