"""Choosing TCP ports, and naming the flag to change when one is taken."""

import random

from embedded.child import port_is_free
from schemas.errors import ConfigurationError

# Below the range that outgoing connections are given (32768 up on Linux): nothing can sit on a chosen port by chance
# while its server is being restarted, and a client that retries can't connect to itself.
_FREE_RANGE = (20_000, 32_000)
_TRIES = 200


def claim_port(port: int, flag: str, host: str = "127.0.0.1") -> int:
    """`port` itself, or any free one for 0. Raises ConfigurationError when it is taken, naming `flag` to change it."""
    if port:
        if port_is_free(port, host):
            return port
        raise ConfigurationError(
            f"port {port} on {host} is taken", remedy=f"choose another one by {flag}, or {flag} 0 for any free one"
        )
    for _ in range(_TRIES):
        candidate = random.randrange(*_FREE_RANGE)
        if port_is_free(candidate, host):
            return candidate
    raise ConfigurationError(f"no free port on {host}", remedy=f"choose one by {flag}")
