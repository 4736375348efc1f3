"""The brand: one small file, the settings before it, and colours on which everything can be read."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage.templates import colours, logo, samples, starts, tags
from engage.templates.blocks import write
from engage.templates.brand import FILE, Brand, Branding, checked, merged, read
from engage.templates.brand import write as written
from engage.templates.context import Organization, values
from engage.templates.rendering import Library
from schemas.errors import ConfigurationError
from tests.fixtures.mails import PERSON, failed

BRAND = Brand(logo="https://shop.example/l.png", colour="#4338CA")
SHOP = Organization("Tea & <Sons>", address="1 Main Street")
COLOURS = st.integers(0, 0xFFFFFF).map("#{:06x}".format)


@given(COLOURS, COLOURS, st.sampled_from(("", "https://shop.example/a.png?b='1#")))
def test_the_file_is_read_as_it_was_written(colour: str, background: str, image: str) -> None:
    brand, wrong = checked({"colour": colour, "background": background.upper(), "logo": image.replace("'", "")})
    assert wrong == {}
    assert brand is not None
    assert brand.background == background
    assert read(written(brand)) == brand


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("colour: red", "colour: a colour is written like #4338ca"),
        ("logo: javascript:alert(1)", "logo: an address on the web begins with https://"),
        ("color: red", "there is no 'color', but colour, background"),
        ("logo: [Tea]", "logo: is no text"),
        ("- Tea", "no `name: value` lines"),
        ("logo: 'Tea", "is no YAML"),
        ("logo: " + "x" * 301, "more than 300 characters"),
        ("logo: " + "x" * 161_000, "more than 160,000 characters"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_by_its_name(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why.replace("`", ".")):
        read(text)


@given(COLOURS, COLOURS)
def test_whatever_colours_are_chosen_all_can_be_read_by_day_and_night(colour: str, background: str) -> None:
    """WCAG 2.1, 1.4.3 and 1.4.11: 4.5 to 1 for text, 3 to 1 for what has to be seen."""
    named = colours.named(colour, background)
    assert colours.contrast(named["on_colour"], named["colour"]) >= 4.5
    assert colours.contrast(named["on_night_colour"], named["night_colour"]) >= 4.5
    assert colours.contrast(named["night_colour"], "#1a1d22") >= 3
    assert colours.contrast(named["quiet_on_background"], named["background"]) >= 4.5
    assert named["colour"] == colour


def test_contrast_is_that_of_wcag() -> None:
    assert colours.contrast("#ffffff", "#000000") == pytest.approx(21)
    assert colours.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # WebAIM's example


def test_ready_mails_and_those_of_blocks_have_the_brand() -> None:
    who = merged(SHOP, BRAND)
    named = values(failed(), PERSON, who, unsubscribe_url="https://x.example/u/1")
    for made in (
        Library().render("failed_payment", named),
        Library().render("x", named, draft=write(starts.STARTS["failed"][2])),
    ):
        assert 'src="https://shop.example/l.png"' in made.html
        assert re.search('alt="Tea &amp; (<|&lt;)Sons(>|&gt;)"', made.html)
        assert "<Sons" not in re.sub('alt="[^"]*"', "", made.html)
        assert "#4338ca" in made.html
        assert "Tea & <Sons>, 1 Main Street" in made.text


def test_a_changed_brand_is_taken_up_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    branding, file = Branding(tmp_path, SHOP), tmp_path / FILE
    file.parent.mkdir()
    assert branding.now() == SHOP
    for at, (text, colour) in enumerate((("colour: '#111111'", "#111111"), ("colour: [", "#111111"), ("", ""))):
        file.write_text(text, "utf-8")
        os.utime(file, (at, at))
        assert branding.now().colour == colour
    assert branding.now().name == SHOP.name
    file.write_text("colour: '#222222'", "utf-8")
    assert branding.now().colour == "#222222"
    file.unlink()
    assert branding.now() == SHOP


PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def test_an_uploaded_logo_is_in_the_brand_and_fetched_from_the_public_address() -> None:
    brand = Brand(logo=logo.packed(PNG))
    assert read(written(brand)) == brand
    assert logo.unpacked(brand.logo) == ("image/png", PNG)
    assert merged(Organization(), brand).logo == brand.logo
    public = merged(Organization(), brand, "https://mail.shop.example/").logo
    assert re.fullmatch(r"https://mail\.shop\.example/logo\?v=[0-9a-f]{8}", public)
    made = Library().render("receipt", values(failed(), PERSON, merged(Organization(), brand)))
    assert f'src="{brand.logo}"' in made.html


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (PNG + bytes(10_000_000), "the logo has 10.0 MB, and may have 100 kB"),
        (PNG + bytes(100_001), "the logo has 101 kB, and may have 100 kB"),
        (b"<svg onload='alert(1)'/>", "a PNG, JPEG or GIF image"),
        (b"", "a PNG, JPEG or GIF image"),
    ],
)
def test_a_logo_that_mail_programs_would_not_show_is_refused_with_the_reason(content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        logo.packed(content)


@pytest.mark.parametrize(
    "text", ["data:text/html;base64,PHNjcmlwdD4=", "data:image/png;base64,AAAA", 'data:image/png;base64," onerror="x']
)
def test_what_is_no_image_is_no_logo(text: str) -> None:
    assert logo.unpacked(text) is None
    assert "logo" in checked({"logo": text})[1]


def test_tags_are_those_of_a_real_event_and_say_what_they_give() -> None:
    event = failed(properties={"metadata": {"charge": {"order id": "77", 'a"}} b': "x", "plan": "<b>gold</b>"}}})
    offered = {tag.text: tag.example for tag in tags.offered(values(event, PERSON, Organization("Shop")))}
    assert offered["{{ event.Amount|currency }}"] == "US$49.00"
    assert offered['{{ event.metadata|lookup("order id") }}'] == "77"
    assert offered["{{ event.metadata.plan }}"] == "<b>gold</b>"
    assert offered['{{ person.first_name|default("there") }}'] == "Ada"
    assert not [text for text in offered if 'a"' in text]
    assert "" not in offered.values()
    assert "{{ event.DueDate|date }}" not in offered  # this event has none


def test_without_an_event_the_person_s_tags_are_offered() -> None:
    texts = [tag.text for tag in tags.offered(samples.made_up(Organization("Shop"), ""))]
    assert "{{ person.name }}" in texts
    assert not [text for text in texts if "event" in text]
