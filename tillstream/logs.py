"""Logging of a role: structlog to standard error, one line an event, `key=value` (in colour on a terminal)."""

import logging
import os
import sys
import time

import structlog

# Measured: these build debug records for every message unless they are told not to.
_NOISY = ("faust", "mode", "aiokafka", "kafka", "aiohttp.access", "asyncio", "clickhouse_connect", "urllib3")

_TIMES, _WHILE = 3, 10.0  # how often a library may say the same in so many seconds
_KEPT = 1_000  # messages that are remembered

# What the libraries say when a worker starts for the first time, while Faust is making its tables' topics: a person who
# reads [error] on a healthy first start stops reading errors.
_FIRST_START = ("Topic %s not found in cluster metadata", "Ignoring missing topic: %r")


def _expected(record: logging.LogRecord) -> bool:
    return record.msg in _FIRST_START and str(record.args).rstrip(",)'").endswith("-changelog")


class _Seldom(logging.Filter):
    """Lets through what a library says a few times in a while, and then how often it was said besides.

    While Kafka is away its clients would say so a hundred times a second, which fills disks and hides everything else.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], tuple[float, int]] = {}  # (logger, message): since when, how often

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is said; adds the number of those that were not."""
        if not isinstance(record.msg, str) or not record.name.startswith(_NOISY):  # our own are told as they are
            return True
        what, now = (record.name, record.msg), time.monotonic()
        since, count = self._said.get(what, (now, 0))
        if now - since > _WHILE:
            unsaid = count - _TIMES
            since, count = now, 0
            if unsaid > 0:
                record.msg += f" (and {unsaid} more in the {_WHILE:.0f} s before)"
        if len(self._said) > _KEPT:  # some put names into the message itself
            self._said.clear()
        self._said[what] = since, count + 1
        return count < _TIMES


def configure_logging(level: str = "info") -> None:
    """Send structlog and the standard library's loggers to standard error, from `level` up."""
    number = logging.getLevelNamesMapping()[level.upper()]
    colour = sys.stderr.isatty()
    short = colour or os.environ.get("TILLSTREAM_LOG_TIMES") == "short"  # set by a supervisor on a terminal
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if short else "iso", utc=not short),
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.dev.ConsoleRenderer(
                    colors=colour, pad_event_to=0, pad_level=False, exception_formatter=structlog.dev.plain_traceback
                ),
            ],
        )
    )
    handler.addFilter(lambda record: not _expected(record))
    handler.addFilter(_Seldom())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
