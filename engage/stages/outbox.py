"""The outbox: each message's way from a decision to what became of it. Nothing is sent before that is durable.

    WAITING ─ begin ▸ SENDING (durable) ▸ the sender tries ▸ finish ▸ sent, failed, unknown, or WAITING again

Messages that are SENDING when a partition is taken up were being sent when a process ended: nobody knows whether they
arrived. Webhooks and topics get them again, under the same idempotency key; a mail is `unknown` and not repeated,
unless its step says `if_unknown: repeat`.
"""

from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from engage.flows.library import Flows
from engage.flows.model import Status
from engage.flows.rules import machine
from engage.flows.rules.known import Known, Row
from engage.flows.rules.program import Instruction, Program
from engage.flows.rules.state import Entry, Person, Run, State
from engage.flows.steps import Email, SetProfileProperty, Webhook
from engage.senders.outcome import Again, Outcome, Refused, Sent, Unknown
from engage.senders.smtp import Mail
from engage.stages.facts import NONSENSE
from engage.stages.letters import Letter, Made, Post, message_id
from engage.stages.records import Records
from engage.stages.reports import Reports
from engage.templates.errors import TemplateProblem
from schemas.errors import Unavailable
from schemas.messages import MessageStatus

_FIRST_RETRY, _LONGEST_RETRY = 2.0, 3600.0  # seconds
_GIVE_UP = 3 * 86_400.0  # seconds after which a mail is not tried any more: RFC 5321 asks for days
_OLD_STATE = "state went back in time: it may have been sent before; it is not repeated"
_NO_STEP = "the flow or its step is gone"


class Work(Protocol):
    """Where messages wait for their turn."""

    def enqueue(self, lane: str, partition: int, key: str, message: str) -> None:
        """Have `begin` called for the message when its lane has room."""


class Desk(Protocol):
    """What the outbox needs of the stage that it belongs to."""

    def records(self, partition: int) -> Records:
        """The people of a partition."""

    def changed(self, partition: int) -> None:
        """Records of the partition have changed."""

    def look_at(self, due: float, partition: int, key: str) -> None:
        """Come back to this person at `due`."""

    def send_on(self, partition: int, key: str, person: Person, fact: str) -> None:
        """Where the fact is another person's by now, what waits because of it goes to them."""


class Outbox:
    """The messages of all people that this worker has. `mails`: there is a mail server at all."""

    def __init__(self, flows: Flows, post: Post, reports: Reports, *, mails: bool) -> None:
        self._flows = flows
        self._post = post
        self._reports = reports
        self._mails = mails
        self._trying: set[tuple[str, str]] = set()  # (person, message id) between `make` and `finish`
        self.work: Work
        self.desk: Desk

    # --- from decisions; the caller keeps `person`

    def add(self, partition: int, key: str, person: Person, run: Run, step: Instruction, known: Known) -> None:
        """A step is to be done."""
        entry = _entry(run, step, known)
        if entry.id in person.outbox:
            return
        manual = self._flows.programs[run.flow].flow.status is Status.MANUAL
        if isinstance(step.kind, SetProfileProperty):
            self._set(key, person, step.kind, entry, known)
        elif isinstance(step.kind, Email) and not self._mails:
            self._report(key, entry, known.event, MessageStatus.SKIPPED, "no SMTP_URL")
        elif manual:
            person.outbox[entry.id] = msgspec.structs.replace(entry, state=State.HELD)
            self._report(key, entry, known.event, MessageStatus.HELD, "the flow is manual")
        else:
            person.outbox[entry.id] = entry
            self._report(key, entry, known.event, MessageStatus.WAITING)
            self._enqueue(partition, key, entry)

    def skip(self, key: str, run: Run, step: Instruction, known: Known, reason: str) -> None:
        """A step is not to be done, and why."""
        self._report(key, _entry(run, step, known), known.event, MessageStatus.SKIPPED, reason)

    def take_back(self, person: Person, fact: str) -> dict[str, Entry]:
        """Take out the messages because of `fact` that nobody has begun to send, by id."""
        unsent = {each.id: each for each in person.outbox.values() if each.fact == fact and each.state != State.SENDING}
        for identifier in unsent:
            del person.outbox[identifier]
        return unsent

    def skip_taken(self, key: str, entry: Entry, event: Row, reason: str) -> None:
        """One that was taken out is not sent, unless what it is because of comes again."""
        self._report(key, entry, event, MessageStatus.SKIPPED, reason)

    def go_on(self, partition: int, key: str, person: Person, entry: Entry, event: Row) -> None:
        """A message that was taken out, or handed over, is this person's to send."""
        person.outbox[entry.id] = entry
        waits = entry.state is State.WAITING
        self._report(key, entry, event, MessageStatus.WAITING if waits else MessageStatus.HELD)
        if waits and entry.attempts:
            self.desk.look_at(entry.due, partition, key)
        elif waits:
            self._enqueue(partition, key, entry)

    def wake(self, partition: int, key: str, person: Person, now: float) -> None:
        """Messages whose next attempt is due go back in line."""
        for entry in person.outbox.values():
            if entry.state is State.WAITING and entry.attempts and entry.due <= now:
                self._enqueue(partition, key, entry)

    # --- on the way

    def recover(self, partition: int, key: str, person: Person, now: float, *, went_back: bool = False) -> None:
        """Take up the messages of a person after a start: see above.

        When state `went_back` in time, what is waiting by it may have been sent as well.
        """
        records = self.desk.records(partition)
        for entry in list(person.outbox.values()):
            begun = entry.state is State.SENDING or (went_back and entry.state is State.WAITING)
            if begun and (key, entry.id) not in self._trying:
                step = self._step(entry)
                repeat = not isinstance(step.kind, Email) or step.kind.if_unknown == "repeat" if step else False
                if repeat:
                    entry = person.outbox[entry.id] = msgspec.structs.replace(entry, state=State.WAITING, due=now)
                    self.desk.send_on(partition, key, person, entry.fact)
                else:
                    del person.outbox[entry.id]
                    event = entry.event or records.fact(key, entry.fact) or {}
                    reason = _OLD_STATE if went_back else "the process ended while it was sent; it is not repeated"
                    self._report(key, entry, event, MessageStatus.UNKNOWN, reason)
                records.keep(key, person)
                self.desk.changed(partition)
            if entry.id in person.outbox and entry.state is State.WAITING:
                if entry.due > now:
                    self.desk.look_at(entry.due, partition, key)
                else:
                    self._enqueue(partition, key, entry)

    def let_go(self, partition: int, key: str, identifier: str, now: float) -> None:
        """A person releases a message that was held."""
        records = self.desk.records(partition)
        person = records.person(key)
        entry = person.outbox.get(identifier)
        if entry is not None and entry.state is State.HELD:
            entry = person.outbox[identifier] = msgspec.structs.replace(entry, state=State.WAITING, since=now)
            records.keep(key, person)
            self.desk.changed(partition)
            self._enqueue(partition, key, entry)

    async def make(self, partition: int, key: str, identifier: str, now: float) -> Made | None:
        """The thing to send, or why there is none; None when it is not its turn. Others go on meanwhile.

        Then `begin`, or `gone` when its partition was lost.
        """
        records = self.desk.records(partition)
        person = records.person(key)
        entry = person.outbox.get(identifier)
        if entry is None or entry.state is not State.WAITING or entry.due > now or (key, identifier) in self._trying:
            return None
        program, step = self._flows.programs.get(entry.flow), self._step(entry)
        known = records.known(key, person, entry.event or records.fact(key, entry.fact) or {}, now)
        if program is None or step is None or self._late(program, step, known):
            return Made(None)  # `begin` says why
        self._trying.add((key, identifier))
        try:
            return Made(await self._post.letter(entry.id, entry.flow, step, key, known))
        except TemplateProblem as error:
            return Made(None, str(error))
        except Unavailable as error:
            return Made(None, str(error), later=True)
        except NONSENSE as error:
            return Made(None, str(error) if isinstance(error, ValueError) else f"it can't be made: {error!r}")

    def begin(self, partition: int, key: str, identifier: str, made: Made, now: float) -> Letter | None:
        """The thing to send, once what this changes is durable; None when there is nothing to send (any more)."""
        records = self.desk.records(partition)
        person = records.person(key)
        entry = person.outbox.get(identifier)
        self._trying.discard((key, identifier))
        if entry is None or entry.state is not State.WAITING:  # taken back while it was made
            return None
        event = entry.event or records.fact(key, entry.fact) or {}
        program, step, letter = self._flows.programs.get(entry.flow), self._step(entry), made.letter
        status, reason = MessageStatus.FAILED, made.reason
        if program is None or step is None:
            letter, status, reason = None, MessageStatus.SKIPPED, _NO_STEP
        elif late := self._late(program, step, records.known(key, person, event, now)):
            letter, status, reason = None, MessageStatus.SKIPPED, late
        entry = msgspec.structs.replace(entry, attempts=entry.attempts + 1)
        if letter is not None:
            person.outbox[identifier] = msgspec.structs.replace(entry, state=State.SENDING)
            self._trying.add((key, identifier))
        elif made.later and status is MessageStatus.FAILED and self._once_more(entry, now):
            self._wait(partition, key, person, entry, now)
            self._report(key, entry, event, MessageStatus.WAITING, reason)
        else:
            del person.outbox[identifier]
            self._report(key, entry, event, status, reason)
        records.keep(key, person)
        self.desk.changed(partition)
        return letter

    def begun(self, partition: int, key: str, identifier: str) -> bool:
        """Whether that it is being sent is kept; else (its partition was away meanwhile) it goes back in line."""
        entry = self.desk.records(partition).person(key).outbox.get(identifier)
        if entry is not None and entry.state is State.SENDING:
            return True
        self._trying.discard((key, identifier))
        if entry is not None:
            self._enqueue(partition, key, entry)
        return False

    def gone(self, key: str, identifier: str) -> None:
        """Its partition is another worker's now."""
        self._trying.discard((key, identifier))

    def finish(self, partition: int, key: str, identifier: str, letter: Letter, outcome: Outcome, now: float) -> None:
        """What became of it."""
        self._trying.discard((key, identifier))
        records = self.desk.records(partition)
        person = records.person(key)
        entry = person.outbox.pop(identifier, None)
        if entry is None:
            return
        event = entry.event or records.fact(key, entry.fact) or {}
        subject = letter.subject if isinstance(letter, Mail) else ""
        match outcome:
            case Sent():
                self._report(key, entry, event, MessageStatus.SENT, subject=subject, content=outcome.content)
            case Again() if self._once_more(entry, now):
                if outcome.unreachable:  # its whole lane waits
                    person.outbox[identifier] = msgspec.structs.replace(entry, state=State.WAITING, due=now)
                    self._enqueue(partition, key, entry)
                else:
                    self._wait(partition, key, person, entry, now)
                self._report(key, entry, event, MessageStatus.WAITING, outcome.reason, subject=subject)
            case Unknown():
                content = outcome.content
                self._report(key, entry, event, MessageStatus.UNKNOWN, outcome.reason, subject=subject, content=content)
            case Again() | Refused():
                row = self._report(key, entry, event, MessageStatus.FAILED, outcome.reason, subject=subject)
                if isinstance(letter, Mail):
                    bad = isinstance(outcome, Refused) and outcome.bounced
                    self._reports.bounce(key, row, outcome.reason, address_is_bad=bad and not _elsewhere(letter, key))
        if identifier in person.outbox:
            self.desk.send_on(partition, key, person, entry.fact)
        records.keep(key, person)
        self.desk.changed(partition)

    # --- helpers

    def _late(self, program: Program, step: Instruction, known: Known) -> str:
        """Why a message is not sent after all: much may have happened while it waited for its turn."""
        flow = program.flow
        if flow.exit_when is not None and known.holds(flow.exit_when):
            return "exit condition"
        return machine.suppressed(step.kind, known.suppressed) if isinstance(step.kind, Email) else ""

    def _wait(self, partition: int, key: str, person: Person, entry: Entry, now: float) -> None:
        """Try again, each time later."""
        due = now + min(_FIRST_RETRY * 2 ** min(entry.attempts - 1, 20), _LONGEST_RETRY)
        person.outbox[entry.id] = msgspec.structs.replace(entry, state=State.WAITING, due=due)
        self.desk.look_at(due, partition, key)

    def _once_more(self, entry: Entry, now: float) -> bool:
        step = self._step(entry)
        if step is not None and isinstance(step.kind, Webhook):
            return entry.attempts < step.kind.attempts
        return now - entry.since < _GIVE_UP

    def _set(self, key: str, person: Person, kind: SetProfileProperty, entry: Entry, known: Known) -> None:
        try:
            person.properties.update(self._post.properties(kind, key, known))
        except TemplateProblem as error:
            self._report(key, entry, known.event, MessageStatus.FAILED, str(error))
        else:
            self._report(key, entry, known.event, MessageStatus.SENT)

    def _step(self, entry: Entry) -> Instruction | None:
        program = self._flows.programs.get(entry.flow)
        place = program.place(entry.step) if program is not None else None
        return program.instructions[place] if program is not None and place is not None else None

    def _enqueue(self, partition: int, key: str, entry: Entry) -> None:
        step = self._step(entry)
        lane = entry.channel
        if step is not None and isinstance(step.kind, Webhook):
            lane = f"webhook {urlsplit(str(step.kind.url)).netloc}"
        self.work.enqueue(lane, partition, key, entry.id)

    def _report(
        self,
        key: str,
        entry: Entry,
        event: Row,
        status: MessageStatus,
        reason: str = "",
        *,
        subject: str = "",
        content: bytes = b"",
    ) -> Row:
        step = self._step(entry)
        recipient = self._post.recipient(step, key) if step is not None else ""
        return self._reports.message(
            key, entry, event, status, reason=reason[:500], recipient=recipient, subject=subject, content=content
        )


def _entry(run: Run, step: Instruction, known: Known) -> Entry:
    identifier = message_id(run.flow, step.id, run.fact)
    return Entry(identifier, run.flow, step.id, run.fact, step.kind.KIND, known.now, event=run.event, value=run.value)


def _elsewhere(mail: Mail, key: str) -> bool:
    """Did it go to another address than the person's own?"""
    return mail.to != key.removeprefix("test:")
