"""The exception tree.

TillstreamError               something a person has to know; `str()` names the cause
├── ConfigurationError        a setting, file or prerequisite is wrong: mend it and start again
├── BadEvent                  this event can't be understood: it goes whole to `dead_letters`
└── Unavailable               a part (Kafka, ClickHouse, Stripe) does not answer: try again later
"""

import errno
import os

_PASSING = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN}
)


class TillstreamError(Exception):
    """Base of all errors that Tillstream raises on purpose.

    `remedy` is the next step for a person, such as a command; '' when there is none.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class ConfigurationError(TillstreamError):
    """A setting, file or prerequisite is wrong."""


class BadEvent(TillstreamError):
    """An authentic event that makes no sense; `path` is the field that was wrong, such as `data.object.id`."""

    def __init__(self, reason: str, *, path: str = "") -> None:
        self.reason = reason
        self.path = path.lstrip(".")  # a field at the top has no parent's path before its dot
        super().__init__(f"{self.path}: {reason}" if self.path else reason)


class Unavailable(TillstreamError):
    """A part that Tillstream needs does not answer."""


def may_pass(error: OSError) -> bool:
    """Whether it is a full or failing disk, or a want of memory or files: nobody's mistake, and over one day."""
    return error.errno in _PASSING


def in_words(error: BaseException) -> str:
    """Why a connection failed, as the operating system says it, such as 'connection refused'."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
            return os.strerror(cause.errno).lower()
        cause = getattr(cause, "os_error", None) or cause.__cause__
    return str(error) or type(error).__name__
