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
