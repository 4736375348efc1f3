"""Rules about segments and flows: would what is live work, if somebody came to it now?"""

from collections.abc import Iterator

from doctor.facts import Facts, FileFacts
from schemas.verdict import Finding, Severity

_ERROR, _WARNING, _HINT = Severity.ERROR, Severity.WARNING, Severity.HINT


def segment_unreadable(facts: Facts) -> Iterator[Finding]:
    """Nobody enters or leaves it until its file is mended."""
    for file in facts.segments:
        if file.problem:
            text = f"the segment {file.name} can't be read, and who is in it stays in it: {file.problem}"
            yield Finding("segment-unreadable", _ERROR, text, f"mend {file.place}", file.name)


def flow_unreadable(facts: Facts) -> Iterator[Finding]:
    """A draft harms nobody; of a file that does not even tell its status, the worst is assumed."""
    for file in facts.flows:
        if not file.problem:
            continue
        severity = _HINT if file.status == "draft" else _ERROR
        text = f"the {_status(file)}flow {file.name} can't be read: {file.problem}"
        yield Finding("flow-unreadable", severity, text, f"mend {file.place}", file.name)


def flow_broken(facts: Facts) -> Iterator[Finding]:
    """Its file is fine, but a step of it could not be done: a template, an address, a segment that is not there."""
    for file in facts.flows:
        for mistake in file.mistakes if file.status != "draft" else ():
            text = f"the {_status(file)}flow {file.name} would not work: {mistake.text}"
            remedy = f"{mistake.remedy}; see it by: tillstream flows preview {file.name}"
            yield Finding("flow-broken", _ERROR, text, remedy, file.name)


def mail_server_missing(facts: Facts) -> Iterator[Finding]:
    """Mails are skipped then, for good."""
    names = [file.name for file in facts.flows if file.mails and file.status in ("live", "manual")]
    if names and facts.mail_settings:
        many = len(names) > 1
        text = (
            f"mails of the flow{'s' if many else ''} {', '.join(names)} are skipped: "
            f"{' and '.join(facts.mail_settings)} {'is' if len(facts.mail_settings) == 1 else 'are'} not set"
        )
        remedy = (
            "export SMTP_URL=smtp+starttls://user:password@host:587 TILLSTREAM_MAIL_FROM='Shop <billing@shop.example>' "
            "where `up` is started, and start it again"
        )
        yield Finding("mail-server-missing", _ERROR, text, remedy)


def mails_failed(facts: Facts) -> Iterator[Finding]:
    """What was to be sent in the last day and can't be: the newest reason of each flow."""
    for flow, (count, reason) in (facts.clickhouse.failed_messages if facts.clickhouse else {}).items():
        text = f"{count:,} message{'' if count == 1 else 's'} of the flow {flow} failed in the last day: {reason}"
        yield Finding("messages-failed", _WARNING, text, f"tillstream flows show {flow}", flow)


RULES = (segment_unreadable, flow_unreadable, flow_broken, mail_server_missing, mails_failed)


def _status(file: FileFacts) -> str:
    return f"{file.status} " if file.status else ""
