"""What a role says: libraries' words about a healthy first start are left out, everything else is there."""

import os
import subprocess
import sys

SPEAK = """
import logging
from tillstream.logs import configure_logging
configure_logging()
logging.getLogger("aiokafka.cluster").error("Topic %s not found in cluster metadata", {topic!r})
logging.getLogger("faust.assignor.partition_assignor").warning("Ignoring missing topic: %r", {topic!r})
"""


def said(topic: str) -> str:
    command = [sys.executable, "-c", SPEAK.format(topic=topic)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ)).stderr


def test_tables_topics_that_are_being_made_are_no_error() -> None:
    assert said("tillstream-people-changelog") == ""


def test_any_other_missing_topic_is() -> None:
    assert "[error] Topic stripe.events not found" in said("stripe.events")
    assert "[warning]" in said("stripe.events")


def test_what_a_library_repeats_is_said_a_few_times_and_then_how_often() -> None:
    repeat = """
import logging
from types import SimpleNamespace
from tillstream import logs
now = 1000.0
logs.time = SimpleNamespace(monotonic=lambda: now)
logs.configure_logging()
speak = logging.getLogger("aiokafka.client").error
for node in range(100):
    speak("Unable connect to node %s", node)
now += logs._WHILE + 1
speak("Unable connect to node %s", 100)
"""
    lines = subprocess.run(
        [sys.executable, "-c", repeat], capture_output=True, text=True, check=True
    ).stderr.splitlines()
    assert [line.partition("] ")[2] for line in lines] == [
        *(f"Unable connect to node {node}" for node in range(3)),
        "Unable connect to node 100 (and 97 more in the 10 s before)",
    ]
