"""Klaviyo's segments and flows become ours, or are refused by name: nothing is lost in between."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engage.conditions.reading import parse as parse_segment
from engage.flows.reading import parse as parse_flow
from engage.flows.rules.program import compile_flow
from engage.klaviyo.document import Names, names_in, slug
from engage.klaviyo.flows import import_flows
from engage.klaviyo.refusals import Imported, NotKlaviyos
from engage.klaviyo.segments import as_yaml, import_segments
from schemas.errors import ConfigurationError
from tillstream.__main__ import app

FIXTURES = Path(__file__).parents[2] / "fixtures" / "klaviyo"
PAID = {"type": "metric", "id": "MetPaid", "attributes": {"name": "Successfully Paid"}}
ALWAYS = {"type": "date", "operator": "alltime"}
ONCE = {"type": "numeric", "operator": "greater-than", "value": 0}


def document(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))


def known(given: Any, **more: Any) -> Names:
    return replace(names_in(given), **{"currency": "eur", "timezone": "Europe/Berlin", **more})


def segment(*conditions: dict[str, Any], **more: Any) -> Imported:
    """One segment of one group with these conditions."""
    definition = {"condition_groups": [{"conditions": list(conditions)}]}
    given = {
        "data": {"type": "segment", "id": "S", "attributes": {"name": "Some", "definition": definition}},
        "included": [PAID, {"type": "list", "id": "List01", "attributes": {"name": "News"}}],
    }
    return import_segments(given, known(given, **more))[0]


def metric(**changes: Any) -> dict[str, Any]:
    """Has paid at least once."""
    usual = {
        "type": "profile-metric",
        "metric_id": "MetPaid",
        "measurement": "count",
        "measurement_filter": ONCE,
        "timeframe_filter": ALWAYS,
    }
    return usual | changes


def person(name: str, kind: str, operator: str, **more: Any) -> dict[str, Any]:
    return {"type": "profile-property", "property": name, "filter": {"type": kind, "operator": operator, **more}}


def test_segments_are_taken_over_whole() -> None:
    given = document("segments")
    spenders, failing = import_segments(given, known(given))
    assert (spenders.refusals, failing.refusals) == ((), ())
    assert spenders.content == {
        "name": "Big spenders (DE)",
        "all": [
            {
                "any": [
                    {
                        "metric": "Successfully Paid",
                        "count": "at least 2",
                        "when": {"in the last": "90 days"},
                        "where": {"Currency": {"equals": "EUR"}, "Amount": {"greater than": 10}},
                    },
                    {"metric": "Successfully Paid", "sum": {"of": "Amount", "currency": "eur", "more than": 100}},
                ]
            },
            {"person": {"country": {"in": ["DE", "AT"]}}},
            {"not in segment": "failing"},
        ],
    }
    assert failing.content is not None
    assert failing.content["all"][1]["when"] == {"after": "2026-01-01 01:00:00"}  # midnight UTC, on Berlin's clock
    assert failing.notes == ("'plan' of Klaviyo's profile is read from the Stripe customer's metadata",)
    for each in (spenders, failing):
        assert parse_segment(as_yaml(each.content), each.name).title == each.title


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (metric(), {"count": "more than 0"}),
        (metric(measurement_filter={"type": "numeric", "operator": "equals", "value": 0}), {"count": "zero"}),
        (metric(measurement_filter={"type": "numeric", "operator": "less-than", "value": 1}), {"count": "zero"}),
        (metric(measurement_filter={"type": "numeric", "operator": "not-equals", "value": 0}), {"count": "at least 1"}),
        (
            metric(measurement_filter={"type": "numeric", "operator": "less-than-or-equal", "value": 3}),
            {"count": "at most 3"},
        ),
        (metric(measurement_filter={"type": "numeric", "operator": "equals", "value": 2}), {"count": "exactly 2"}),
        (
            metric(timeframe_filter={"type": "date", "operator": "at-least", "unit": "week", "quantity": 2}),
            {"count": "more than 0", "when": {"before": "2 weeks ago"}},
        ),
        (
            metric(timeframe_filter={"type": "date", "operator": "between", "start": 10, "end": 20, "unit": "hour"}),
            {"count": "more than 0", "when": {"between": ["20 hours ago", "10 hours ago"]}},
        ),
        (
            metric(
                timeframe_filter={
                    "type": "date",
                    "operator": "between-static",
                    "start": "2026-01-01T00:00:00+01:00",
                    "end": "2026-07-01T00:00:00+02:00",
                }
            ),
            {"count": "more than 0", "when": {"between": ["2026-01-01 00:00:00", "2026-07-01 00:00:00"]}},
        ),
    ],
)
def test_counts_and_windows(given: dict[str, Any], written: dict[str, Any]) -> None:
    made = segment(given)
    assert made.refusals == ()
    assert made.content == {"name": "Some", "all": [{"metric": "Successfully Paid", **written}]}


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (person("email", "string", "ends-with", value="@x.example"), {"email": {"ends with": "@x.example"}}),
        (person("phone_number", "existence", "not-set"), {"phone": {"is not set": True}}),
        (person("location['country']", "string", "equals", value="United Kingdom"), {"country": {"equals": "GB"}}),
        (person("location['city']", "string", "not-in", value=["Rome"]), {"city": {"not in": ["Rome"]}}),
        (person("properties['tier']", "string", "starts-with", value="g"), {"metadata.tier": {"starts with": "g"}}),
        (person("properties['age']", "numeric", "greater-than-or-equal", value=18), {"metadata.age": {"at least": 18}}),
        (person("properties['vip']", "boolean", "equals", value=True), {"metadata.vip": {"is": True}}),
        (
            person("card_expiration_date", "date", "in-the-next", unit="day", quantity=30),
            {"card_expiration_date": {"in the next": "30 days"}},
        ),
        (
            person("properties['birthday']", "date", "between", start=3, end=1, unit="day"),
            {"metadata.birthday": {"between": ["3 days ago", "1 day ago"]}},
        ),
    ],
)
def test_properties_of_people(given: dict[str, Any], written: dict[str, Any]) -> None:
    made = segment(given)
    assert made.refusals == ()
    assert made.content == {"name": "Some", "all": [{"person": written}]}


@pytest.mark.parametrize(
    ("given", "path", "words"),
    [
        (metric(metric_id="MetNone"), ".metric_id", "metric MetNone: its name is not in the file: --metric MetNone="),
        (
            metric(timeframe_filter={"type": "date", "operator": "anniversary"}),
            ".timeframe_filter",
            "date filter anniversary",
        ),
        (
            metric(timeframe_filter={"type": "date", "operator": "flow-start"}),
            ".timeframe_filter",
            "date filter flow-start",
        ),
        (
            metric(measurement_filter={"type": "numeric", "operator": "not-equals", "value": 2}),
            ".measurement_filter",
            "count not-equals",
        ),
        (
            metric(measurement_filter={"type": "numeric", "operator": "equals", "value": 1.5}),
            ".measurement_filter",
            "a whole number",
        ),
        (
            metric(metric_filters=[{"property": "Items Count", "filter": ONCE}]),
            ".metric_filters[0]",
            "Successfully Paid has no such property",
        ),
        (
            metric(
                metric_filters=[
                    {"property": "Reason", "filter": {"type": "string", "operator": "equals", "value": "x"}}
                ]
            ),
            ".metric_filters[0]",
            "Successfully Paid never has it",
        ),
        (
            metric(
                metric_filters=[
                    {"property": "Currency", "filter": {"type": "string", "operator": "regex", "value": "^U"}}
                ]
            ),
            ".metric_filters[0]",
            "filter string regex: there is no such operator here",
        ),
        (
            metric(metric_filters=[{"property": "Currency", "filter": ONCE}]),
            ".metric_filters[0]",
            "'Currency' is text here, which has",
        ),
        (person("first_name", "string", "equals", value="Ada"), "", "Stripe knows only the full name"),
        (person("historic_clv", "numeric", "equals", value=1), "", "nothing like it is known of a person"),
        (person("location['country']", "string", "equals", value="Atlantis"), "", "codes of two letters"),
        (person("email", "string", "equals", value=""), "", "it compares with nothing"),
        (person("properties['tags']", "list", "length-equals", value=2), "", "filter list length-equals"),
        (person("properties['b']", "date", "calendar-month", value=2), "", "date filter calendar-month"),
        (
            {"type": "profile-group-membership", "is_member": True, "group_ids": ["List01"]},
            ".group_ids[0]",
            "there are no lists",
        ),
        (
            {"type": "profile-group-membership", "is_member": True, "group_ids": ["Else"]},
            ".group_ids[0]",
            "--segment Else=NAME",
        ),
        (
            {"type": "profile-group-membership", "is_member": True, "group_ids": ["S", "T"]},
            ".group_ids",
            "one condition asks for one",
        ),
        (
            {"type": "profile-marketing-consent", "consent": {"channel": "email"}},
            "",
            "consent is not part of conditions",
        ),
        ({"type": "profile-predictive-analytics"}, "", "nothing is predicted"),
        ({"type": "profile-brand-new-thing"}, "", "there is no such condition here"),
    ],
)
def test_what_has_no_counterpart_is_refused_at_its_place(given: dict[str, Any], path: str, words: str) -> None:
    made = segment(metric(), given)
    assert made.content is None
    assert [refusal.path for refusal in made.refusals] == [
        f"data.attributes.definition.condition_groups[0].conditions[1]{path}"
    ]
    assert words in str(made.refusals[0])


def test_a_sum_needs_to_be_told_its_currency() -> None:
    made = segment(metric(measurement="sum"), currency="")
    assert "money of different currencies is never added here" in str(made.refusals[0])


def test_every_refusal_is_told_at_once() -> None:
    made = segment(person("first_name", "existence", "is-set"), {"type": "profile-region"}, metric(metric_id="X"))
    assert len(made.refusals) == 3


def test_a_flow_is_taken_over_whole_and_compiles() -> None:
    given = document("flow")
    made = import_flows(given, known(given, templates={"Tem1": "failed_payment"}))[0]
    assert made.refusals == ()
    flow = parse_flow(as_yaml(made.content), made.name)
    assert (flow.name, flow.status, str(flow.reentry.once_every)) == ("failed-payment-v2", "draft", "14 days")
    assert made.content is not None
    assert made.content["exit_when"] == {"any": [{"happened": "Successfully Paid"}]}
    assert made.content["profile_filters"] == {"all": [{"person": {"email": {"not contains": "@northwind.example"}}}]}
    assert made.content["smart_sending"] == "16 hours"
    first, wait, split, last = made.content["steps"]
    assert first["email"]["subject"] == (
        "{{ person.first_name|default('Hello') }}, your payment failed: {{ event|lookup('Reason') }}"
    )
    assert first["email"]["from"] == '"Northwind" <billing@northwind.example>'
    delay = {"for": "1 day 2 hours", "until": "09:30", "weekdays": ["mon", "fri"], "timezone": "profile"}
    assert wait == {"delay": delay}
    assert split["split"]["then"] == [{"set_profile_property": {"dunning": "soft", "loyal": "true"}}]
    assert [*split["split"]["else"][0]] == ["webhook"]
    assert last["trigger_split"]["where"] == {"AttemptCount": {"less than": 4}}
    kinds = [instruction.kind.KIND for instruction in compile_flow(flow).instructions]
    assert kinds == "email delay split set_profile_property webhook trigger_split email".split()
    assert "write templates/failed_payment_v2_second_notice.html after Klaviyo's template Tem2" in made.notes
    assert "it was live in Klaviyo; here it is a draft: tillstream flows live failed-payment-v2" in made.notes


def change(path: str, value: Any) -> Imported:
    """The flow of the fixture with one part of its definition changed; `actions.1.data.unit` is such a path."""
    given = document("flow")
    at = given["data"]["attributes"]["definition"]
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in way:
        at = at[part]
    at[last] = value
    return import_flows(given, known(given))[0]


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("triggers", [{"type": "list", "id": "List01"}], "triggers[0].type: trigger list: there are no lists here"),
        ("triggers", [{"type": "price-drop"}], "triggers[0].type: trigger price-drop: it is no event of Stripe's"),
        ("triggers", [], "triggers: 0 triggers: a flow has exactly one"),
        ("actions.0.type", "send-sms", "actions[0].type: action send-sms: only mail, webhooks and topics"),
        ("actions.0.type", "brand-new", "actions[0].type: action brand-new: there is no such step here"),
        (
            "actions.0.data.message.bcc_email",
            "a@x.example",
            "actions[0].data.message.bcc_email: bcc_email: a mail goes to one",
        ),
        (
            "actions.0.data.message.subject_line",
            "{% coupon %}",
            "actions[0].data.message.subject_line: subject '{% coupon %}'",
        ),
        ("actions.0.data.message.smart_sending_enabled", False, "actions: smart sending of some mails"),
        ("actions.1.data.unit", "months", "actions[1].data.unit: delay in months"),
        ("actions.1.links.next", "99", "action 99: an action leads to it, but it is not there"),
        ("actions.1.links.next", "1", "action 1: the actions go round in a circle"),
        (
            "actions.2.data.profile_filter.condition_groups.0.conditions.0.type",
            "profile-random-sample",
            "no random sample",
        ),
        ("actions.3.data.profile_operations.0.operator", "delete", "profile_operations[0]: delete of a string"),
        ("actions.4.data.message.body", "{}", "actions[4].data.message.body: a body of your own"),
        ("actions.6.data.message.additional_filters", {"condition_groups": [{"conditions": []}]}, "an empty group"),
        ("entry_action_id", "7", "actions[0]: action 1 (send-email): no action leads to it"),
        ("reentry_criteria", {"duration": 2, "unit": "month"}, "reentry_criteria: re-entry by month"),
    ],
)
def test_what_a_flow_has_without_counterpart_is_refused(path: str, value: Any, words: str) -> None:
    made = change(path, value)
    assert made.content is None
    assert words in " | ".join(map(str, made.refusals))
    assert all(refusal.path.startswith("data.attributes.definition") for refusal in made.refusals)


def test_a_split_by_what_happened_since_the_flow_began() -> None:
    condition = metric(
        timeframe_filter={"type": "date", "operator": "flow-start"},
        measurement_filter={"type": "numeric", "operator": "equals", "value": 0},
    )
    made = change("actions.2.data.profile_filter.condition_groups.0.conditions.0", condition)
    assert made.content is not None, made.refusals
    split = made.content["steps"][2]["split"]
    assert split["when"] == {"happened": "Successfully Paid"}
    assert [*split["then"][0]] == ["webhook"]  # "zero times" is the other way round
    assert [*split["else"][0]] == ["set_profile_property"]


def test_a_file_that_is_no_answer_of_klaviyos_is_told_how_to_get_one() -> None:
    with pytest.raises(NotKlaviyos) as caught:
        import_flows({"data": {"type": "flow", "id": "x", "attributes": {"name": "no definition"}}}, Names())
    assert "additional-fields[flow]=definition" in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "made"), [("VIP (EU) 2026", "vip-eu-2026"), ("!!!", "imported"), ("ä" * 9, "imported")]
)
def test_names_of_files(name: str, made: str) -> None:
    assert slug(name) == made


def test_the_command_writes_yaml_that_says_where_it_is_from(tmp_path: Path) -> None:
    arguments = ["segments", "import", str(FIXTURES / "segments.json"), "--currency", "usd", "--data", str(tmp_path)]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["segments"]
    assert [each["name"] for each in told] == ["big-spenders-de", "failing"]
    written = Path(told[1]["file"]).read_text("utf-8")
    assert written.startswith("# From Klaviyo: Failing (segments.json)\nname: Failing\n")
    assert parse_segment(written, "failing").title == "Failing"
    again = CliRunner().invoke(app, arguments)
    assert isinstance(again.exception, ConfigurationError)
    assert CliRunner().invoke(app, [*arguments, "--overwrite"]).exit_code == 0


def test_the_command_refuses_by_name_and_writes_the_others(tmp_path: Path) -> None:
    arguments = ["segments", "import", str(FIXTURES / "segments.json"), "--data", str(tmp_path)]  # no --currency
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "not imported: Big spenders (DE)" in done.output
    assert "conditions[1].measurement_filter: sum of $value" in done.output
    assert [path.name for path in (tmp_path / "project" / "segments").iterdir()] == ["failing.yaml"]


def test_dates_are_read_on_the_accounts_clock() -> None:
    frame = {"type": "date", "operator": "before", "date": "2026-07-01T00:00:00+00:00"}
    made = segment(metric(timeframe_filter=frame), timezone="Asia/Tokyo")
    assert made.content is not None
    assert made.content["all"][0]["when"] == {"before": "2026-07-01 09:00:00"}
