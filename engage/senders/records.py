"""TXT records in DNS."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver

SECONDS: Final = 2.0  # for all of them: a person waits in front of the page


async def texts(names: Iterable[str], resolver: "Resolver | None" = None) -> dict[str, tuple[str, ...] | None]:
    """Name → its texts, () when there are none; None when no server told in time."""
    from dns.asyncresolver import Resolver
    from dns.exception import DNSException

    try:
        asked = resolver or Resolver()
    except DNSException:  # no /etc/resolv.conf
        return dict.fromkeys(names)

    async def one(name: str) -> tuple[str, tuple[str, ...] | None]:
        from dns.resolver import NXDOMAIN, NoAnswer

        try:
            answer = await asked.resolve(name, "TXT", search=False, lifetime=SECONDS)
        except (NXDOMAIN, NoAnswer):
            return name, ()
        except (DNSException, OSError):
            return name, None
        return name, tuple(b"".join(record.strings).decode("utf-8", "replace") for record in answer)

    return dict(await asyncio.gather(*map(one, names)))
