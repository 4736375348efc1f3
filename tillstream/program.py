"""Which commands there are, and what a person types to run them: remedies and examples are read to be typed."""

import functools
import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

NAME = "tillstream"

Sections = Mapping[str, Mapping[str, tuple[str, str]]]
"""Title → command → (`module:function` or `module:app` below `tillstream.commands`, one line of help)."""

COMMANDS: Final[Sections] = {
    "Set up": {
        "up": ("run:up", "Run every part on this machine, until Ctrl-C."),
        "demo": ("demo:demo", "See it all work: a seeded month of Stripe traffic."),
        "connect": ("connect:connect", "Have Stripe send its webhooks here."),
        "import": ("imports:import_", "Bring in everything that Stripe has."),
        "settings": ("settings:settings", "Every setting, its value now and what it does."),
    },
    "Look": {
        "status": ("status:status", "How everything is, in one light."),
        "metrics": ("metrics:metrics", "Charts of the metrics, the last 30 days by day."),
        "feed": ("feed:feed", "What happened, newest first; --follow goes on."),
        "profile": ("profile:profile", "One person: cards, value, segments, messages, timeline."),
        "sql": ("sql:sql", "Ask ClickHouse."),
        "env": ("env:env", "What other programs need to reach Kafka and ClickHouse."),
        "listen": ("listen:listen", "Stripe's events as they come, sent on to a program of yours."),
    },
    "Act on it": {
        "segments": ("segments:app", "Groups of people by what they did and what is known of them."),
        "flows": ("flows:app", "What is sent to whom, and when."),
    },
    "Prove and mend it": {
        "doctor": ("doctor:doctor", "Everything that is wrong, each with the command that mends it."),
        "reconcile": ("reconcile:reconcile", "Compare the numbers with Stripe's, day by day."),
        "tieout": ("tieout:tieout", "Give every cent of Stripe's payouts its name."),
        "sweep": ("sweep:sweep", "Take in events whose webhooks never came."),
        "deadletters": ("deadletters:app", "Events that could not be understood."),
        "replay": ("replay:replay", "Have kept events processed once more."),
        "relink": ("relink:relink", "Tell a customer's past rows with the present email."),
        "merge": ("merge:merge", "Have two profiles that are one person be one."),
        "forget": ("forget:forget", "Erase a person."),
        "partitions": ("partitions:app", "How many partitions Kafka's topics have; `grow` makes more."),
    },
    "Try it": {
        "simulate": ("simulate:app", "A simulated Stripe: its traffic, one story, or the whole of it."),
    },
    "One part alone": {
        "ingest": ("run:ingest", "The door: Stripe's webhooks to Kafka."),
        "process": ("run:process", "The processors: events to metrics and profiles."),
        "sink": ("run:sink", "The sink: Kafka to ClickHouse."),
        "engage": ("run:engage", "Segments and flows: facts to mails, webhooks and topics."),
        "connector": ("run:connector", "What asks Stripe: look-ups, imports, sweeps, comparisons."),
        "console": ("run:console", "The console: web pages and JSON over ClickHouse."),
        "topics": ("run:topics", "Create the topics that are missing, before any part starts."),
    },
}


def typed(text: str) -> str:
    """`text` with its commands as they work in this shell: `.venv/bin/tillstream status` for `tillstream status`."""
    return _commands().sub(lambda _: program(), text) if NAME in text else text


@functools.cache
def _commands() -> re.Pattern[str]:
    names = "|".join(name for section in COMMANDS.values() for name in section)
    return re.compile(rf"(?<![\w./=-]){NAME}(?= (?:{names})\b)")


@functools.cache
def program() -> str:
    """`tillstream` where the shell finds this program by its name, else its path, from here if that is not outside."""
    started = Path(sys.argv[0]) if Path(sys.argv[0]).name == NAME else Path(sys.executable).with_name(NAME)
    script = Path(os.path.abspath(started))  # not resolved: a link is what people know
    found = shutil.which(NAME)
    if found and os.path.realpath(found) == os.path.realpath(script):
        return NAME
    if not script.is_file():
        return f"{shlex.quote(sys.executable)} -m {NAME}"
    try:
        inside = script.relative_to(Path.cwd())
    except (ValueError, OSError):  # outside, or this directory is gone
        return shlex.quote(str(script))
    return shlex.quote(str(inside) if len(inside.parts) > 1 else f"./{inside}")
