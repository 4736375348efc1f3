"""Which process is given which secret, and what of the environment of `up` it sees: one table of it.

What can't be kept apart on one machine: all parts of `up` run as one user, and a process may read whatever its user
may. A part that somebody has taken over could open DATA/secrets (the door watches it for new signing secrets, and an
account's API key is in the same file), the file that TILLSTREAM_CONFIG names, and its siblings' /proc/PID/environ.
What the table keeps is what leaks without that: dumps, logs, error reports, programs that a part starts. Where each
role has a container and an environment of its own, as in docker-compose.yml, the rest is kept too.
"""

import os
from collections.abc import Mapping
from typing import Final

from pydantic import SecretStr

from settings.table import Settings

#: The settings that are secrets, by their type: whoever adds one says in NEEDS who is given it, or nobody is.
SECRETS: Final = frozenset(
    name for name, field in Settings.model_fields.items() if SecretStr.__name__ in str(field.annotation)
)

_KAFKA = frozenset({"kafka_sasl_password"})
_CLICKHOUSE = frozenset({"clickhouse_password"})

NEEDS: Final[Mapping[str, frozenset[str]]] = {
    "ingest": _KAFKA | {"stripe_webhook_secret"},
    "process": _KAFKA,
    "sink": _KAFKA | _CLICKHOUSE,
    "connector": _KAFKA | _CLICKHOUSE | {"stripe_api_key"},
    "engage": _KAFKA | _CLICKHOUSE | {"smtp_url", "tillstream_unsubscribe_secret"},
    # It does what the command line does: connects (keys, signing secrets), imports, compares, sends test mails.
    "console": _KAFKA
    | _CLICKHOUSE
    | {
        "stripe_api_key",
        "stripe_webhook_secret",
        "smtp_url",
        "tillstream_console_token",
        "tillstream_console_read_token",
        "tillstream_console_tokens",
        "tillstream_alert_webhook",
        "tillstream_alert_slack",
        "tillstream_console_proxy_secret",
    },
}

# Of the environment in which `up` was started: what programs need of a machine. Names, and beginnings of names.
_MACHINE = frozenset(
    "PATH HOME USER LOGNAME SHELL HOSTNAME LANG LANGUAGE TZ TZDIR TMPDIR TEMP TMP TERM COLORTERM NO_COLOR FORCE_COLOR "
    "COLUMNS LINES VIRTUAL_ENV REQUESTS_CA_BUNDLE CURL_CA_BUNDLE HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY "
    "GLIBC_TUNABLES PYDANTIC_DISABLE_PLUGINS".split()
)
_MACHINES = ("LC_", "XDG_", "JAVA_", "JDK_", "LD_", "DYLD_", "PYTHON", "SSL_CERT_", "OPENSSL_", "MALLOC_", "COVERAGE_")


def only_for(role: str, settings: Settings) -> Settings:
    """The same settings without the secrets that the role has no use for."""
    return settings.without(SECRETS - NEEDS[role])


def inherited(part: str) -> dict[str, str]:
    """What a part sees of this process's environment; its settings are given beside it.

    Only engage sees all of it: a flow names the variable that holds the signing secret of the webhook it calls.
    """
    settings = {name.upper() for name in Settings.model_fields}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in settings and (part == "engage" or name.upper() in _MACHINE or name.startswith(_MACHINES))
    }
