"""Creates the topics that are missing, once, before any role starts: the one-shot step of docker-compose.yml.

Reads Tillstream's own settings from the environment. Exit code 0 when every topic is there, 2 when it can't be done.
"""

import asyncio
import sys

from schemas.errors import TillstreamError
from tillstream import screen
from tillstream.connections import kafka_arguments
from tillstream.loading import load_settings
from tillstream.topics import ensure_topics


def main() -> None:
    """`up` does the same by itself; single roles leave it to this step, so that no two of them race."""
    try:
        settings = load_settings()
        created = asyncio.run(
            ensure_topics(
                kafka_arguments(settings),
                settings.tillstream_topic_prefix,
                replication=settings.kafka_replication_factor,
            )
        )
    except TillstreamError as error:
        screen.show_error(error)
        sys.exit(2)
    screen.out.print(f"{len(created)} topics created" if created else "every topic was there")


if __name__ == "__main__":
    main()
