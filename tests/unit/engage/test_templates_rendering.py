"""Templates: names, missing values, subjects, limits, and what can't be done from inside of one."""

from pathlib import Path
from typing import Any

import pytest

from engage.templates import short
from engage.templates.context import Organization, values
from engage.templates.errors import MissingVariables, TemplateProblem
from engage.templates.rendering import Library, Rendered
from tests.fixtures.mails import ORGANIZATION, PERSON, paid


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def render(folder: Path, source: str, *, strict: bool = True, subject: str = "", **event: Any) -> Rendered:
    """`source` as a project's template, for the usual payment."""
    (folder / "mail.html").write_text(source, "utf-8")
    made = values(paid(**event), PERSON, ORGANIZATION)
    return Library([folder]).render("mail", made, subject=subject, strict=strict)


def text(folder: Path, source: str, **more: Any) -> str:
    return render(folder, f"<p>{source}</p>", **more).text.strip()


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("{{ event.Amount }} {{ event.Currency }}", "1249.50 EUR"),
        ("{{ event.amount }} {{ event.currency }}", "1249.50 eur"),
        ("{{ event.Amount|currency }}", "€1,249.50"),
        ("{{ event.Amount|currency('USD') }}", "US$1,249.50"),
        ("{{ event.Amount|currency(locale='de_DE') }}", "1.249,50 €"),
        ("{{ event.Invoice }} {{ event.InvoiceNumber }} {{ event.AttemptCount }}", "in_1 NW-2026-0042 0"),
        ("{{ event.metadata.order }} {{ event.metadata.charge.order }}", "77 77"),
        ("{{ event.metadata['Gift from'] }} {{ event.metadata|lookup('Gift from') }}", "Grace Grace"),
        ("{{ event|lookup('metadata.customer.Some Key') }}", "some value"),
        ("{{ event.line_items[1].description }}, {{ event.extra.line_items|length }}", "Storage, 500 GB, 2"),
        ("{% for item in event.Items %}{{ item.Amount|currency }};{% endfor %}", "€1,188.00;€61.50;"),
        ("{{ person.first_name }} {{ person.last_name }}, {{ person.email }}", "Ada King Lovelace, ada@example.com"),
        ("{{ person|lookup('Favourite colour') }} {{ person.plan }}", "violet gold"),
        ("{{ person.card|card }} {{ person.card.expires }}", "American Express ending in 0005 01/2026"),
        ("{{ person.lifetime_value|currency }} {{ person.counts['Successfully Paid'] }}", "€3,600.00 3"),
        ("{{ organization.name }} {{ organization.url }}", "Northwind https://northwind.example"),
        (
            "{{ event.occurred_at|date }} {{ event.occurred_at|date('short+time') }}",
            "6 January 2026 06/01/2026, 00:30 CET",
        ),
        ("{{ event.occurred_at|date('EEEE', 'de_DE') }}", "Dienstag"),
        ("{{ person.nickname|default('there') }} {{ person.phone|default('none') }}", "there none"),
        ("{{ 'x' if event.Nothing else 'y' }}{{ event.Nothing is defined }}", "yFalse"),
        ("{{ person.name|title|truncate(5, true, '…') }} {{ 2 }} item{{ 2|pluralize }}", "Ada … 2 items"),
        ("{{ 10.005|round(2) }} {{ ['a', 'b']|join(', ') }} {{ 'a' ~ 1 }}", "10.01 a, b a1"),
    ],
)
def test_what_a_template_can_say(folder: Path, source: str, shown: str) -> None:
    assert text(folder, source).replace("\u202f", " ") == shown


def test_a_preview_names_every_missing_variable_with_its_line_and_the_nearest_name(folder: Path) -> None:
    with pytest.raises(MissingVariables) as caught:
        render(
            folder,
            "<p>\n{{ event.Amout }}\n{{ person.frist_name|upper }}\n{{ orgnization.name }}\n{{ event.Amout }}</p>",
        )
    assert [str(lack) for lack in caught.value.lacks] == [
        "mail.html, line 2: event.Amout (did you mean event.Amount?)",
        "mail.html, line 3: person.frist_name (did you mean person.first_name?)",
        "mail.html, line 4: orgnization (did you mean organization?)",
    ]


@pytest.mark.parametrize(
    "source",
    [
        "{{ event.Nope }}",
        "{{ event.Nope.deeper.still }}",
        "{{ event.Nope|currency }}",
        "{{ event.Nope|date }}",
        "{{ event.Nope|upper|truncate(3) }}",
        "{{ event.Nope + 1 }}",
        "{% for x in event.Nope %}{{ x }}{% endfor %}",
        "{{ 'a' ~ event.Nope }}",
        "{{ event|lookup('Nope') }}",
        "{% if event.Nope == 'x' or event.Nope > 3 %}{% endif %}",
        "{{ event.Nope() }}",
    ],
)
def test_in_sending_a_missing_variable_is_a_blank_and_is_recorded(folder: Path, source: str) -> None:
    sent = render(folder, f"<p>Hello {source}!</p>", strict=False)
    assert sent.text.strip() in ("Hello !", "Hello a!")
    assert [lack.name for lack in sent.missing] == ["event.Nope"]
    with pytest.raises(MissingVariables, match=r"event\.Nope"):
        render(folder, source)


def test_a_flow_without_an_event_has_an_empty_one(folder: Path) -> None:
    (folder / "mail.html").write_text("{{ person.email }}{{ event.Amount }}", "utf-8")
    made = Library([folder]).render("mail", values(None, PERSON, ORGANIZATION))
    assert made.text == "ada@example.com\n"
    assert [lack.name for lack in made.missing] == ["event.Amount"]


def test_the_subject_is_the_templates_own_or_the_flows_and_one_line_of_plain_text(folder: Path) -> None:
    source = "<title>{% block subject %}{{ organization.name }} & {{ event.metadata.order }}{% endblock %}</title>x"
    assert render(folder, source).subject == "Northwind & 77"
    assert render(folder, source, subject="Thanks, {{ person.first_name }}!").subject == "Thanks, Ada!"
    assert render(folder, "x").subject == ""


@pytest.mark.parametrize("breaks", ["\r\n", "\n", "\r", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x00", "\x1c"])
def test_no_value_can_add_a_header_through_the_subject(folder: Path, breaks: str) -> None:
    order = f"A{breaks}Bcc: thief@example.com{breaks}{breaks}body"
    properties = {"metadata": {"charge": {"order": order}}}
    for subject in ("Order {{ event.metadata.order }}", ""):
        block = "{% block subject %}Order {{ event.metadata.order }}{% endblock %}"
        made = render(folder, block, subject=subject, properties=properties)
        assert made.subject == "Order A Bcc: thief@example.com body"
        assert made.subject.splitlines() == [made.subject]


def test_a_subject_can_not_turn_the_reading_direction_or_be_endless(folder: Path) -> None:
    made = render(
        folder, "x", subject="{{ event.metadata.order }}", properties={"metadata": {"a": {"order": "\u202eab" * 200}}}
    )
    assert "\u202e" not in made.subject
    assert len(made.subject) == 250


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}", "turns of loops"),
        ("{{ range(100000) }}", "a range of more than"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "turns of loops|without end"),
        ("{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(60) }}", "turns of loops"),
        ("{% set x = 'ab' %}" + "{% set x = x ~ x %}" * 60, "characters"),
        ("{% set x %}abcdefgh{% endset %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * 60, "characters"),
        ("{% set x = [1, 2] %}" + "{% set x = x + x %}" * 60, "a list of more than 10,000 values"),
        ("{{ 'a' * 1000000000 }}", "can't be multiplied"),
        ("{{ 10 ** 10000000 }}", "power is too large"),
        ("{{ '%01000000000d' % 1 }}", "does not work on text"),
        ("{{ 'a'.ljust(1000000000) }}", "not allowed"),
        ("{{ '{:>1000000000}'.format(1) }}", "not allowed"),
        ("{{ 'a' | replace('', 'bbbbbbbb' ~ event.Big) | replace('', event.Big) }}", "characters"),
        ("{{ ''.__class__.__mro__ }}", "not allowed"),
        ("{{ event.__class__ }}", "__class__"),
        ("{{ event.values_ }}", "values_"),
        ("{% include 'mail.html' %}", "without end"),
        ("{% extends 'nothing.html' %}", "there is no template 'nothing.html'"),
        ("{% include '../../../../etc/passwd' %}", "there is no template"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
    ],
)
def test_a_runaway_or_prying_template_ends_in_an_error_that_names_it(folder: Path, source: str, cause: str) -> None:
    with pytest.raises(TemplateProblem, match=cause) as caught:
        render(folder, source, properties={"Big": "x" * 100_000})
    assert str(caught.value).startswith("template mail.html")


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("\n{{ person.first_name|default:'you' }}", "line 2: expected token"),
        ("{{ event.Amount|money }}", "line 1: No filter named 'money'"),
        ("{{ event.Description|safe }}", "line 1: No filter named 'safe'"),
        ("{% if %}", "line 1: Expected an expression"),
        ("{% load humanize %}", "unknown tag 'load'"),
        ("<a href={{ event.InvoiceURL }}>x</a>", "line 1: put quotes round"),
    ],
)
def test_a_mistake_in_a_template_is_told_with_its_line(folder: Path, source: str, cause: str) -> None:
    (folder / "mail.html").write_text(source, "utf-8")
    with pytest.raises(TemplateProblem, match=cause) as caught:
        Library([folder]).check("mail")
    assert caught.value.template == "mail.html"


def test_djangos_way_of_writing_a_filter_is_answered_with_ours(folder: Path) -> None:
    (folder / "mail.html").write_text("{{ person.first_name|default:'you' }}", "utf-8")
    with pytest.raises(TemplateProblem) as caught:
        Library([folder]).check("mail")
    assert caught.value.remedy == "write a filter's argument in brackets: {{ name|default('there') }}"


def test_an_unknown_template_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(TemplateProblem, match=r"there is no template 'reciept'; did you mean receipt\?"):
        Library().check("reciept")


def test_a_projects_file_takes_the_place_of_a_ready_one(folder: Path) -> None:
    (folder / "_layout.html").write_text("<p>Ours</p>{% block content %}{% endblock %}", "utf-8")
    made = Library([folder]).render("receipt", values(paid(), PERSON, ORGANIZATION), strict=True)
    assert made.text.startswith("Ours\n")
    assert made.subject == "Your receipt from Northwind: €1,249.50"


def test_a_file_that_is_put_before_a_ready_one_is_taken_up_at_once(folder: Path) -> None:
    library, given = Library([folder]), values(paid(), PERSON, ORGANIZATION)
    assert "this is your receipt" in library.render("receipt", given).text
    (folder / "receipt.html").write_text("<p>Ours</p>", "utf-8")
    assert library.render("receipt", given).text == "Ours\n"
    (folder / "receipt.html").unlink()
    assert "this is your receipt" in library.render("receipt", given).text


@pytest.mark.parametrize(
    "source",
    [
        "<a href={{ event.InvoiceURL }}>x</a>",
        "<a href=https://x.example/{{ event.Invoice }}>x</a>",
        "<a href={% if event.Invoice %}{{ event.Invoice }}{% endif %}>x</a>",
        "<a href={% for x in event.Items %}{{ x.Product }}{% endfor %}>x</a>",
        "<a {{ event.Reason }}>x</a>",
        "<a {% if event.Reason %}title={% endif %}{{ event.Reason }}>x</a>",
        "<a title='>' href = {{ event.InvoiceURL }}>x</a>",
        "<{{ event.Reason }}>",
        "<a href=x{% include 'other.html' %}>",
        "<a href=x{% block link %}{% endblock %}>",
        "{% macro m(x) %}<a href={{ x }}>{% endmacro %}{{ m(1) }}",
        "{% set x %}<a href={{ event.Reason }}>{% endset %}",
        "{% autoescape false %}{{ event.Reason }}{% endautoescape %}",
    ],
)
def test_no_value_stands_where_escaping_would_not_hold(folder: Path, source: str) -> None:
    (folder / "mail.html").write_text(f"<p>\n{source}</p>", "utf-8")
    with pytest.raises(TemplateProblem, match=r"mail.html, line 2: (put quotes round|a template can't change)"):
        Library([folder]).check("mail")
    with pytest.raises(TemplateProblem, match=r"mail.html, line 2"):
        render(folder, f"<p>\n{source}</p>")


@pytest.mark.parametrize(
    "source",
    [
        "<a href=\"{{ event.InvoiceURL }}\" title='{{ event.Reason }}'>{{ event.Reason }}</a>",
        '<td {% if event.Reason %}class="x {{ event.Reason }}"{% else %}class=x{% endif %}>{{ event.Reason }}</td>',
        '<a href="{% if event.InvoiceURL %}{{ event.InvoiceURL }}{% else %}https://x.example{% endif %}">x</a>',
        "<!--[if mso]><b width={{ 5 }}><![endif]-->1 < 2 {{ event.Reason }} a = {{ event.Reason }}",
        "<br/>{{ event.Reason }}<img src=x />{{ event.Reason }}",
    ],
)
def test_values_stand_in_text_and_in_quotes(folder: Path, source: str) -> None:
    assert render(folder, source, properties={"Reason": "x"}, strict=False).html


def test_a_link_leads_to_the_web_or_nowhere(folder: Path) -> None:
    made = render(
        folder,
        '<a href="{{ event.metadata.site }}">site</a> <a href="{{ event.InvoiceURL }}">pay</a>',
        properties={"metadata": {"a": {"site": "javascript:alert(1)"}}, "InvoiceURL": "https://pay.example/?a=1&b=2"},
    )
    assert "javascript" not in made.html
    assert 'href="#"' in made.html
    assert made.text == "site pay (https://pay.example/?a=1&b=2)\n"


def test_a_wrong_amount_or_date_is_shown_as_it_is_and_recorded(folder: Path) -> None:
    source = "{{ event.Odd|currency }} {{ event.Odd|date }}"
    made = render(folder, source, strict=False, properties={"Odd": "soon"})
    assert made.text == "soon soon\n"
    assert [lack.name for lack in made.missing] == ["soon|currency", "soon|date"]


def test_a_short_text_is_a_template_too() -> None:
    made = values(paid(), PERSON, Organization(timezone="Europe/Berlin"))
    assert short.render("paid {{ event.Amount|currency }}\n<now>", made) == "paid €1,249.50 <now>"


def test_a_name_that_no_mail_ever_has_is_told_without_any_event(folder: Path) -> None:
    (folder / "mail.html").write_text(
        '{% import "_parts.html" as mail %}\n{{ mail.chip("a") }}\n{{ evnt.Amount }}', "utf-8"
    )
    with pytest.raises(TemplateProblem, match=r"mail.html, line 3: there is no 'evnt'; did you mean event\?"):
        Library([folder]).check("mail")


SAID = "{{ event.Amount|currency }} {{ event.occurred_at|date }}"


def test_money_and_dates_are_in_the_language_of_the_text(folder: Path) -> None:
    paying = {"properties": {"Currency": "USD"}}
    (folder / "note.html").write_text(f"<p>Paid: {SAID}</p>", "utf-8")
    (folder / "note.fr.html").write_text(f"<p>Payé\u202f: {SAID}</p>", "utf-8")
    (folder / "note.old.html").write_text("kept by somebody", "utf-8")  # no language
    (folder / "_rahmen.html").write_text(
        '<html lang="de"><body>{% block content %}{% endblock %}</body></html>', "utf-8"
    )
    (folder / "notiz.html").write_text(
        f'{{% extends "_rahmen.html" %}}{{% block content %}}Bezahlt: {SAID}{{% endblock %}}', "utf-8"
    )
    library = Library([folder])
    assert library.names() == sorted([*Library().names(), "note", "note.old", "notiz"])

    def told(name: str, country: str) -> str:
        made = library.render(name, values(paid(**paying), {**PERSON, "country": country}, ORGANIZATION))
        return made.text.strip().translate({0xA0: " ", 0x202F: " "})

    assert told("note", "FR") == "Payé : 1 249,50 $US 6 janvier 2026"
    assert told("note", "DE") == "Paid: US$1,249.50 6 January 2026"
    assert told("note", "US") == "Paid: $1,249.50 January 6, 2026"
    assert told("notiz", "US") == "Bezahlt: 1.249,50 $ 6. Januar 2026"
    assert told("notiz", "AT") == "Bezahlt: $ 1.249,50 6. Jänner 2026"
    (folder / "note.fr.html").write_text("<p>\n{{ evnt }}</p>", "utf-8")
    assert library.problem("note").startswith("template note.fr.html, line 2: there is no 'evnt'")
