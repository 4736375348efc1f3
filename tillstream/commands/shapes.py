"""What `--json` gives, command by command: shown in docs/cli.md, and held against every answer in the tests.

A dict has these keys, all of them, and `NAME` stands for any; a list has any number of what is in it. A text says what
a value is: `EventAnswer` and the like (`@NAME`) are the console's API's, told in docs/contracts/openapi.json. Of
several shapes (`Either`) one holds. Fields may be added in later versions, never renamed or taken away.
"""

from typing import Any, Final

from tillstream.commands.shapes_engage import ENGAGE, Either

__all__ = ["SHAPES", "Either"]


_FINDINGS: Final = [
    {
        "name": "such as endpoint-disabled",
        "severity": "error, waiting, warning or hint",
        "text": "",
        "remedy": "",
        "about": "",
    }
]
_LIGHT: Final = "green, amber, red, or waiting before the first event"
_FACT: Final = {
    "metric": "",
    "id": "",
    "of": "the charge or invoice",
    "currency": "",
    "amount": "in major units",
    "amount_minor": "",
    "occurred_at": "",
    "details": {"NAME": "what else is compared, such as its reason"},
}
_LETTERS: Final = [
    {
        "failed_at": "",
        "open": "whether it still is",
        "stage": "",
        "account": "",
        "event_id": "",
        "type": "",
        "reason": "",
        "path": "the field that was wrong",
        "topic": "",
        "partition": "",
        "offset": "",
        "payload": "as it came",
    }
]

_PARTITIONS: Final = {
    "partitions": "what the roles work with",
    "growing_to": "null unless that was begun and not finished",
    "topics": {"NAME": "how many it has"},
    "unread": {"NAME": "messages that the role has not read"},
}

SHAPES: Final[dict[str, Any]] = {
    "up": {
        "pid": "",
        "started_at": "",
        "http_url": "",
        "console_url": "",
        "kafka_bootstrap": "",
        "clickhouse_url": "",
        "clickhouse_user": "",
        "clickhouse_reader": "",
        "database": "",
        "topic_prefix": "",
        "kafka_pid": "",
        "clickhouse_pid": "",
        "roles": {"NAME": {"pid": "", "health_url": "", "restarts": "", "ready": "", "reason": ""}},
        "ready": "whether every part can do its work",
    },
    "demo": {
        "equal": "",
        "daily": [
            {
                "day": "",
                "metric": "",
                "currency": "",
                "count": "",
                "stripe_count": "",
                "amount_minor": "minor units",
                "stripe_amount_minor": "",
                "equal": "",
            }
        ],
        "missing": ["facts, in words"],
        "surplus": [""],
        "timezone": "",
        "events": "",
        "events_stored": "",
        "ready_seconds": "",
        "settle_seconds": "",
        "restarts": {"PART": "how many"},
    },
    "connect": Either(
        {
            "with an API key": {
                "account": "",
                "account_id": "",
                "livemode": "",
                "timezone": "of Stripe's dashboard",
                "url": "the webhook's",
                "event_types": [""],
                "api_version": "'' for thin events",
                "missing_permissions": [""],
                "steps": ["in words"],
                "notes": [""],
                "done": Either(
                    {
                        "": {"endpoint": "", "secret_file": "", "door": "takes, or why not", "waiting": ["ids"]},
                        "with --dry-run": None,
                    }
                ),
            },
            "without one": {"account": "", "url": "", "event_types": [""], "next": "the command for later"},
            "with --secret alone": {"account": "", "secret_file": ""},
        }
    ),
    "import": {
        "imports": [
            {
                "import_id": "",
                "account": "",
                "livemode": "",
                "resource": "such as charges",
                "since": "Unix seconds",
                "until": "",
                "objects": "how many",
                "error": "",
                "state": "",
            }
        ],
        "complete": "",
    },
    "settings": {"SETTING": "its value; secrets only as (set)", "accounts": {"NAME": {"FIELD": ""}}},
    "status": {
        "light": _LIGHT,
        "ready": "whether every part can do its work",
        "verdict": "in words",
        "findings": _FINDINGS,
        "parts": {"NAME": {"ready": "", "reason": "", "pid": "", "restarts": "", "health_url": ""}},
        "accounts": {
            "NAME": {
                "key": "live, test or ''",
                "secrets": "how many",
                "url": "",
                "endpoints": ["ids of those that are enabled"],
                "imports": Either({"": {"RESOURCE": "its state"}, "when nothing is known": None}),
                "sweep": Either({"": {"state": "", "age_seconds": ""}, "when nothing is known": None}),
                "comparison": Either(
                    {
                        "": {
                            "equal": "",
                            "differences": "",
                            "age_seconds": "",
                            "from": "",
                            "to": "",
                            "remark": "",
                        },
                        "before the first": None,
                    }
                ),
                "tieout": Either(
                    {
                        "": {
                            "state": "tied, pending, different, unchecked, or not yet",
                            "differences": "ids that do not tie",
                            "age_seconds": "null before the first",
                            "unchecked": "why it is not checked",
                        },
                        "when nobody has read the balance": None,
                    }
                ),
            }
        },
        "lag": {"GROUP": "messages"},
        "lookups": {"STATE": "how many"},
        "open_dead_letters": "",
        "missing_events": [
            {
                "account": "",
                "event_id": "of a row the metric's id",
                "type": "of a row the metric and its version",
                "missing_from": "ledger or stripe_events; metrics: a row",
                "topic": "where in Kafka it is",
                "partition": "",
                "offset": "",
                "since": "",
            }
        ],
        "totals": Either({"": {"NAME": "rows"}, "when ClickHouse does not answer": None}),
        "urls": {"webhooks": "", "console": "", "clickhouse": "", "kafka": ""},
        "pid": "",
        "data": "",
    },
    "metrics": Either({"": ["@MetricAnswer"], "with --closed": ["@ChangesAnswer"]}),
    "feed": Either({"": ["@Event"], "with --follow, one a line": "@Event"}),
    "profile": {
        "profile": Either({"": "@ProfileAnswer", "when nobody is known": None}),
        "segments": [{"segment": "", "entered_at": ""}],
        "messages": [
            {
                "at": "",
                "flow": "",
                "step": "",
                "channel": "",
                "status": "",
                "reason": "",
                "subject": "",
                "metric_id": "",
            }
        ],
        "events": ["@Event"],
    },
    "sql": [{"COLUMN": "its value"}],
    "env": {
        "KAFKA_BOOTSTRAP_SERVERS": "",
        "CLICKHOUSE_URL": "with user and password",
        "CLICKHOUSE_HOST": "",
        "CLICKHOUSE_PORT": "of the HTTP interface",
        "CLICKHOUSE_USER": "",
        "CLICKHOUSE_PASSWORD": "",
        "CLICKHOUSE_DATABASE": "",
    },
    "listen": Either(
        {
            "one a line": {"id": "", "type": "", "source": ""},
            "with --forward-to": {"id": "", "type": "", "source": "", "status": "the answer's, or 0", "problem": ""},
        }
    ),
    **ENGAGE,
    "doctor": {
        "light": _LIGHT,
        "title": "in words",
        "findings": _FINDINGS,
    },
    "reconcile": {
        "equal": "",
        "accounts": [
            {
                "account": "",
                "livemode": "",
                "from": "",
                "to": "",
                "timezone": "",
                "stripe_timezone": "",
                "equal": "",
                "remark": "",
                "healed": "objects that were brought in again",
                "run_id": "",
                "cells": [
                    {
                        "metric": "",
                        "currency": "",
                        "day": "",
                        "ours_count": "",
                        "ours_minor": "minor units",
                        "stripe_count": "",
                        "stripe_minor": "",
                        "equal": "",
                    }
                ],
                "differences": [
                    {
                        "kind": "missing, extra or different",
                        "what": ["what differs, or can't be"],
                        "metric": "",
                        "id": "",
                        "day": "",
                        "ours": Either({"": _FACT, "when it is missing": None}),
                        "stripe": Either({"": _FACT, "when it is extra, or can't be": None}),
                    }
                ],
                "apart": [_FACT],
            }
        ],
    },
    "tieout": {
        "accounts": [
            {
                "account": "",
                "livemode": "",
                "state": "tied, pending, different or unchecked",
                "unchecked": "why it could not be checked",
                "since": "",
                "until": "",
                "timezone": "",
                "run_id": "in the view tieouts",
                "names": [
                    {
                        "name": "a metric whose rows it ties to, or a reason",
                        "state": "",
                        "currency": "of settlement",
                        "transactions": "",
                        "amount_minor": "",
                        "fee_minor": "",
                        "net_minor": "",
                    }
                ],
                "payouts": {"STATE": "how many"},
                "balances": [
                    {
                        "currency": "",
                        "opening_minor": "",
                        "transactions_minor": "opening + transactions = closing",
                        "closing_minor": "",
                        "at": "",
                    }
                ],
                "rows_without_transaction": {"outside_stripe": "", "pending": ["metric_id"]},
                "differences": [{"kind": "", "ids": ["of transactions, rows and payouts"], "text": "", "currency": ""}],
            }
        ]
    },
    "sweep": {
        "sweeps": [
            {
                "account": "",
                "livemode": "",
                "since": "Unix seconds",
                "swept_until": "",
                "seen": "events",
                "published": "of them, those that had not come",
                "gap": "what Stripe has forgotten, as two times, or null",
                "error": "",
                "state": "",
                "balance": {
                    "state": "complete, unchecked (the key may not read it) or failed",
                    "known_since": "Unix seconds",
                    "transactions": "balance transactions that were read",
                    "payouts": "",
                    "error": "",
                },
            }
        ]
    },
    "deadletters": _LETTERS,
    "deadletters list": _LETTERS,
    "deadletters replay": {
        "chosen": "",
        "published": "",
        "impossible": ["topic/partition@offset"],
        "by_reason": [{"stage": "", "reason": "", "count": ""}],
        "dry_run": "",
    },
    "replay": Either(
        {
            "": {"chosen": "", "published": "", "dry_run": ""},
            "with --rebuild": {"events": "", "changelogs": "topics", "kept_since": ""},
        }
    ),
    "relink": {"customers": ["ids"], "rows": "", "dry_run": ""},
    "merge": {"customers": ["ids"], "into": "'' with --undo", "guests": "payments that stay", "dry_run": ""},
    "partitions": _PARTITIONS,
    "partitions grow": _PARTITIONS,
    "forget": {
        "email": "",
        "dry_run": "",
        "rows": {"TABLE": "how many"},
        "waiting": ["roles that have not taken it up yet"],
        "kafka": {"TOPIC": "until when it may hold what it holds now, '' for no date"},
    },
    "simulate": {
        "sent": "deliveries",
        "accepted": "",
        "duplicates": "",
        "retries": "",
        "failures": "",
        "seconds": "",
        "dropped": ["event ids"],
        "failed": {"EVENT": "why"},
    },
    "simulate serve": {"url": "of its API", "api_key": ""},
    "simulate trigger": Either({"": [{"type": "", "id": "", "accepted": ""}], "with --list": ["types"]}),
    "topics": {"created": ["topics"]},
}
