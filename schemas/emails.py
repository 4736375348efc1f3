"""Emails as identity: one spelling for one address, and what is none. Source: Klaviyo, profiles; RFC 5321 and 5322."""

import re
from typing import Final
from unicodedata import category, normalize

_LONGEST: Final = 254  # bytes in all, RFC 5321
_PLAIN: Final = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{}~-]+@[a-z0-9.-]+")
# Seen by nobody, and pasted along: zero-width and soft-hyphen, marks of direction, variation selectors.
_UNSEEN: Final = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff]"
)
_DOTTED_I: Final = re.compile("i\u0307+")
# Of these none is in an address unless quoted (RFC 5322) but the bar, which parts the keys of our own records.
_SPECIAL: Final = frozenset('()<>[]\\:"|')


def normal(text: str) -> str:
    """`text` as it is compared: composed (NFC), without blanks around and what can't be seen, in lower case.

    Each letter becomes the lower case of itself alone, since a capital sigma has another at the end of a word. The
    capital i with a dot that Turkish has is an `i`, not the two characters that Unicode makes of it. Normal text stays.
    """
    if text.isascii():
        return text.strip().lower()
    seen = _UNSEEN.sub("", normalize("NFC", text))
    lower = normalize("NFC", "".join(map(str.lower, seen)))
    return normalize("NFC", _DOTTED_I.sub("i", lower)).strip()


def problem(email: str) -> str:
    """Why normal text is not the email of one person; '' when it is one."""
    if _PLAIN.fullmatch(email) and len(email) <= _LONGEST:
        return ""
    if any(category(letter) in ("Cc", "Zl", "Zp") for letter in email):
        return "it has a control character"
    if "," in email or ";" in email or email.count("@") > 1:
        return "it is more than one address"
    if not all(email.partition("@")):
        return "it has no name and domain"
    if not _SPECIAL.isdisjoint(email) or any(map(str.isspace, email)):
        return "it has a character that no address has"
    return "it is too long" if len(email.encode()) > _LONGEST else ""
