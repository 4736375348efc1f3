"""Mails of blocks: what menus make is a file that people read, and nothing that is typed becomes anything but text."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import mail_form
from engage.templates import blocks, samples, starts
from engage.templates.blocks import KINDS, Block, BlockMail, cleaned, mistakes, parse, place, write
from engage.templates.errors import TemplateProblem
from engage.templates.rendering import Library
from engage.templates.sandbox import Sandbox

TAGS = (
    "{{ event.Amount|currency }}",
    '{{ person.first_name|default("a <b> & \\"c\\"") }}',
    "{{ event['x'] }}",
    "{{'}'}}",
)
MARKUP = (
    "**bold**",
    "**",
    "[words](https://shop.example/?a=1&b=2)",
    "[x]({{ event.InvoiceURL }})",
    "[x](javascript:1)",
)
PIECES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        (
            *TAGS,
            *MARKUP,
            "\n",
            "\n\n",
            "<p>",
            "</h1>",
            "&amp;",
            "{",
            "}}",
            "«text»",
            "{# text #}",
            "{% x %}",
            "«",
            "-->",
        )
    ),
)
TEXTS = st.lists(PIECES, max_size=8).map("".join)
LINKS = st.one_of(st.sampled_from(("", "https://shop.example/?a=1&b=2", "mailto:a@b.example", TAGS[0])), TEXTS)
BLOCKS = st.sampled_from(sorted(KINDS)).flatmap(
    lambda kind: st.fixed_dictionaries(
        {name: LINKS if name in ("link", "source") else TEXTS for name in KINDS[kind]}
    ).map(lambda fields: Block(kind, fields))
)
MAILS = st.builds(
    BlockMail,
    st.sampled_from(("", "Failed Payment", "nothing {% raw %}")),
    TEXTS,
    TEXTS,
    st.lists(BLOCKS, max_size=5).map(tuple),
    TEXTS,
).map(cleaned)


def readable(mail: BlockMail) -> bool:
    return all(one.empty for one in mistakes(mail))


@given(MAILS)
def test_what_is_written_is_read_as_the_same_blocks(mail: BlockMail) -> None:
    if readable(mail):
        assert parse(write(mail)) == mail
    assert mail_form.read(mail_form.fields(mail)) == mail
    assert mail_form.unpacked(mail_form.packed(mail)) == mail
    assert cleaned(mail) == mail


class Elements(HTMLParser):
    """Every element and attribute of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, ...]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, *sorted(name for name, _ in attrs)))


@given(MAILS)
def test_no_field_becomes_an_element_an_attribute_or_a_statement(mail: BlockMail) -> None:
    """Whatever is typed, the template has the statements and elements of its blocks, and those alone."""
    if not readable(mail):
        return
    plain = re.sub(r"\{\{.*?\}\}", "", write(mail))
    known = {"h1": (), "p": (), "br": (), "strong": (), "a": ("href",)}
    assert {(tag, tuple(attrs)) for tag, *attrs in Elements(plain).seen} <= set(known.items())
    assert not re.search(r'href="(?!https?://|mailto:|tel:|")', plain)
    Sandbox(None, escape=True).parse(write(mail))  # type: ignore[arg-type]
    statements = re.findall(r"\{%\s*(\w+)", write(mail))
    assert set(statements) <= {"extends", "import", "block", "endblock", "set", "endset"}


HOSTILE = "\"><img src=x onerror=alert(1)> O'Hara & {%"[:-3]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind]])
def test_a_hostile_name_in_any_field_is_text_in_the_mail(kind: str) -> None:
    for name in KINDS[kind]:
        usual = {"link": "https://shop.example", "source": "https://shop.example/a.png"}
        fields = {each: usual.get(each, "Tea") for each in KINDS[kind]} | {name: HOSTILE}
        mail = cleaned(BlockMail("", HOSTILE, HOSTILE, (Block(kind, fields),), HOSTILE))
        if name in usual:
            assert [one.name for one in mistakes(mail)] == [name]
            continue
        made = Library().render("x", samples.payment(), draft=write(mail))
        assert made.subject == HOSTILE
        assert [tag for tag, *attrs in Elements(made.html).seen if "onerror" in attrs] == []
        assert "onerror" in made.text


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//evil.example",
        "https://a b",
        'https://a"b',
        "{{ x",
        "https://a{% if %}",
    ],
)
def test_an_address_that_leads_elsewhere_than_to_the_web_is_refused(address: str) -> None:
    mail = cleaned(BlockMail("", "x", "", (Block("button", {"label": "Go", "link": address}),)))
    [wrong] = mistakes(mail)
    assert (wrong.block, wrong.name, wrong.empty) == (0, "link", False)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{% if x %}", "for a mail in HTML"),
        ("{# x #}", "for a mail in HTML"),
        ("Hello {{ person.name", "does not end with }}"),
        ("{{ person. }}", "{{ person. }}"),
        ("{{ event.Amount|nothing }}", "nothing"),
        ('{{ "}}<script>" }}', "{{"),
        ("{{ ().__class__ }} {{ 1", "does not end"),
    ],
)
def test_a_tag_that_can_not_be_read_is_refused_at_its_field(text: str, why: str) -> None:
    for at, kind in enumerate(("heading", "text")):
        several = (*[Block("divider", {})] * at, Block(kind, {KINDS[kind][0]: text}))
        [wrong] = mistakes(cleaned(BlockMail("", "x", "", several)))
        assert wrong.block == at
        assert why in wrong.text


def test_what_only_comes_out_when_the_mail_is_made_is_told_with_its_block() -> None:
    """A name that no mail has, and what the sandbox forbids."""
    for text, why in (("{{ evnt.Amount }}", "did you mean event?"), ("{{ event.items.__self__ }}", "__self__")):
        several = (Block("divider"), Block("text", {"text": f"One\ntwo {text}\n\nthree"}), Block("divider"))
        made = write(cleaned(BlockMail("", "x", "", several)))
        with pytest.raises(TemplateProblem, match=re.escape(why)) as raised:
            Library().check("x", draft=made)
        assert place(made, raised.value.line) == 1


def test_an_attribute_without_quotes_and_a_tag_outside_of_the_sandbox_are_refused_in_html() -> None:
    for html, why in (
        ("<a href={{ event.InvoiceURL }}>Pay</a>", "put quotes round"),
        ("<{{ event.Reason }}>", "put quotes round"),
        ("{{ ''.__class__.__mro__ }}", "__class__"),
        ("{{ event.Reason|safe }}", "safe"),
        ("{% autoescape false %}{{ event.Reason }}{% endautoescape %}", "how values are escaped"),
    ):
        with pytest.raises(TemplateProblem, match=re.escape(why)):
            Library().check("x", draft=f"<p>{html}</p>")


def test_a_draft_stands_in_nobodys_way() -> None:
    """It is tried by itself: what is saved under its name is made as before."""
    library = Library()
    with pytest.raises(TemplateProblem):
        library.check("receipt", draft="{% for x in range(999) %}{% for y in range(999) %}x{% endfor %}{% endfor %}")
    library.check("receipt")
    assert library.render("receipt", samples.payment()).subject.startswith("Your receipt")


@pytest.mark.parametrize("name", starts.STARTS)
def test_what_a_new_mail_begins_with_is_a_whole_mail(name: str) -> None:
    mail = starts.STARTS[name][2]
    assert parse(write(mail)) == mail
    assert mistakes(mail) == []
    made = Library().render(name, samples.payment(), draft=write(mail), strict=True)
    assert made.text.endswith("Shop, 1 Main Street\n\nUnsubscribe: https://unsubscribe.invalid/sample\n")
    assert "@media (prefers-color-scheme: dark)" in made.html


def test_every_other_template_is_none_of_blocks() -> None:
    text = write(starts.STARTS["failed"][2])
    for other in (
        "",
        "<p>Hello</p>",
        text.replace("<h1>", '<h1 class="x">'),
        text.replace("{# heading #}", "{# headline #}"),
        text.replace("{# heading #}\n", ""),
        text.replace("Failed Payment", "Nothing"),
        text.rstrip("\n"),
        text + "{# more #}\n",
        text.replace("\n", "\r\n"),
        text.replace("Pay now", "{% if x %}Pay{% endif %}"),
    ):
        assert parse(other) is None, other


def test_buttons_add_move_copy_and_remove_blocks() -> None:
    mail = cleaned(BlockMail("", "x", "", tuple(Block("heading", {"line": str(n)}) for n in range(3))))

    def lines(do: str) -> list[str]:
        return [block["line"] or block.kind for block in mail_form.done(mail, do).blocks]

    assert lines("up:2") == ["0", "2", "1"]
    assert lines("down:0") == ["1", "0", "2"]
    assert lines("copy:1") == ["0", "1", "1", "2"]
    assert lines("remove:0") == ["1", "2"]
    assert lines("add:3:divider") == ["0", "1", "2", "divider"]
    assert lines("add:0:button")[0] == "button"
    for nothing in ("", "up:0", "down:2", "up:9", "up:x", "remove:-1", "add:9:text", "add:0:script", "copy:٣", "x:1"):
        assert lines(nothing) == ["0", "1", "2"]
    most = cleaned(BlockMail("", "x", "", tuple(Block("divider") for _ in range(blocks.MOST))))
    assert mail_form.done(most, "add:0:text") == most
    assert mail_form.done(most, "copy:0") == most
