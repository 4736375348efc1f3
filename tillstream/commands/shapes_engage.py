"""What `--json` of segments and flows gives: part of `tillstream.commands.shapes`, where it is said how to read it."""

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Either:
    """One of these, and when."""

    by_case: dict[str, Any]


_FLOW: Final = {
    "flow": "its name",
    "title": "",
    "status": "live, manual, draft or wrong",
    "trigger": "in words",
    "file": "",
    "shipped": "whether it came with Tillstream",
    "problem": "what is wrong with its file; '' when nothing is",
    "messages": Either({"": {"STATE": "how many"}, "when ClickHouse does not answer": None}),
}
_IMPORTED: Final = [
    {
        "name": "",
        "title": "in Klaviyo",
        "content": Either({"": {"NAME": "as its YAML"}, "when it was refused": None}),
        "refusals": [{"path": "in the JSON", "what": "", "why": ""}],
        "notes": ["what to know about it"],
        "file": "",
        "dry_run": "",
    }
]
_STATUS: Final = {"flow": "", "status": "live, manual or draft", "file": ""}
_SUPPRESSED: Final = {"email": "", "suppressed": "whether mail is withheld now"}

ENGAGE: Final[dict[str, Any]] = {
    "segments list": [
        {
            "name": "",
            "title": "",
            "description": "",
            "members": "as of the last evaluation, or null",
            "every": "how often it is evaluated",
            "file": "",
            "shipped": "",
            "problems": [""],
        }
    ],
    "segments show": {
        "name": "",
        "title": "",
        "description": "",
        "every": "",
        "root": "the conditions",
        "file": "",
        "yaml": "",
    },
    "segments count": {"segment": "", "livemode": "", "members": ""},
    "segments members": [
        {
            "email": "",
            "name": "",
            "country": "",
            "first_seen": "",
            "last_seen": "",
            "lifetime_value": {"CURRENCY": "in major units"},
        }
    ],
    "segments explain": {
        "conditions": [{"condition": "in words", "live": "people who satisfy it", "test": ""}],
        "members": {"live": "", "test": ""},
        "sql": "",
        "parameters": {"NAME": ""},
    },
    "segments validate": [{"file": "", "line": "", "column": "", "message": "", "nearest": "the nearest valid name"}],
    "segments import": {"segments": _IMPORTED},
    "flows list": [_FLOW],
    "flows show": {
        **_FLOW,
        "steps": [{"id": "", "does": "in words"}],
        "newest": [{"at": "", "step": "", "status": "", "email": "", "recipient": "", "subject": "", "reason": ""}],
    },
    "flows live": _STATUS,
    "flows manual": _STATUS,
    "flows draft": _STATUS,
    "flows preview": Either(
        {
            "": {
                "flow": "",
                "step": "",
                "template": "",
                "to": "",
                "metric_id": "of the fact it was made from",
                "subject": "",
                "html": "",
                "text": "",
            },
            "when its template lacks something": {
                "flow": "",
                "missing": [{"name": "", "template": "", "line": ""}],
            },
        }
    ),
    "flows test": {"flow": "", "step": "", "to": "", "sent": "whether the server took it", "answer": "its words"},
    "flows run": {
        "flow": "",
        "status": "",
        "since": "",
        "until": "",
        "would_send": "mails",
        "sent": {"STEP": "how many"},
        "facts": "",
        "started": "",
        "waiting": "",
        "not_started": {"REASON": "how many"},
        "examples": {"REASON": "a metric_id"},
        "skipped": [{"step": "", "reason": "", "count": ""}],
        "ended": {"REASON": "how many"},
    },
    "flows backfill": {"flow": "", "facts": "how many", "people": "", "dry_run": ""},
    "flows release": {"flow": "", "released": "how many", "dry_run": ""},
    "flows suppress": _SUPPRESSED,
    "flows unsuppress": _SUPPRESSED,
    "flows import": {"flows": _IMPORTED},
}
