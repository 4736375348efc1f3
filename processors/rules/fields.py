"""Reading untrusted JSON: each reader returns a clean value or raises BadEvent with the field's path.

These run some fifty times an event: the good case comes first, and a path is only put together for an error.
"""

from typing import Any

from schemas import emails
from schemas.erasing import marked
from schemas.errors import BadEvent
from schemas.money import CURRENCIES, is_code

_OLDEST = 946_684_800  # 2000-01-01: before Stripe existed, so older times are nonsense
_NEWEST = 4_102_444_800  # 2100-01-01
_INT64 = 2**63 - 1
_METADATA_BYTES = 64 * 1024  # Stripe's own bound is 50 keys of 540 characters

Obj = dict[str, Any]


def required_id(obj: Obj, path: str) -> str:
    """`obj['id']` as non-empty text."""
    value = obj.get("id")
    if not isinstance(value, str) or not value:
        raise BadEvent("an id is required", path=f"{path}.id")
    return text(value, f"{path}.id")


def text(value: Any, path: str) -> str:
    """Text or null: null is ''. Lone surrogates can't be stored or sent, so they are refused."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadEvent(f"expected text, found {type(value).__name__}", path=path)
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise BadEvent("the text has a lone surrogate", path=path) from error
    return value


def opt(obj: Obj, name: str, path: str) -> str:
    """Text of a field that may be absent or null ('')."""
    value = obj.get(name)
    if value is None:
        return ""
    if type(value) is str and value.isascii():
        return value
    return text(value, f"{path}.{name}")


def texts(obj: Obj, table: tuple[tuple[str, str], ...], path: str, into: Obj) -> None:
    """Put the non-empty texts of `table`, pairs of (short name, field), into `into`."""
    get = obj.get
    for short, name in table:
        value = get(name)
        if value is not None:
            if type(value) is not str or not value.isascii():
                value = text(value, f"{path}.{name}")
            if value:
                into[short] = value


def moments(obj: Obj, table: tuple[tuple[str, str], ...], path: str, into: Obj) -> None:
    """Put the times of `table` that are there into `into`."""
    get = obj.get
    for short, name in table:
        if get(name) is not None:
            into[short] = moment(obj, name, path)


def reference(obj: Obj, name: str, path: str) -> str:
    """The id behind a reference: an id, an expanded object, or nothing ('')."""
    value = obj.get(name)
    if value is None:
        return ""
    if type(value) is str and value.isascii():
        return value
    if isinstance(value, dict):
        return required_id(value, f"{path}.{name}")
    return text(value, f"{path}.{name}")


def amount(obj: Obj, name: str, path: str, default: int | None = None) -> int:
    """An amount in minor units: an integer from 0 that fits 64 bits. Raises BadEvent when absent and no default."""
    value = obj.get(name)
    if value is None and default is not None:
        return default
    if type(value) is not int:
        raise BadEvent(f"expected an integer amount, found {type(value).__name__}", path=f"{path}.{name}")
    if not 0 <= value <= _INT64:
        raise BadEvent(f"the amount {value} is out of range", path=f"{path}.{name}")
    return value


def signed_amount(obj: Obj, name: str, path: str) -> int:
    """An amount that may be negative (a line with a credit, an invoice's total)."""
    value = obj.get(name)
    if value is None:
        return 0
    if type(value) is not int or not -_INT64 <= value <= _INT64:
        raise BadEvent("expected an integer amount", path=f"{path}.{name}")
    return value


def count(obj: Obj, name: str, path: str) -> int:
    """A small number from 0; absent or null is 0."""
    value = obj.get(name)
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value < 2**31:
        raise BadEvent("expected a small whole number", path=f"{path}.{name}")
    return value


def flag(obj: Obj, name: str, path: str) -> bool:
    """A boolean; absent or null is False."""
    value = obj.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise BadEvent(f"expected true or false, found {type(value).__name__}", path=f"{path}.{name}")
    return value


def currency(obj: Obj, path: str) -> str:
    """A currency's code, lower case; also of one that Stripe has added since."""
    value = obj.get("currency")
    if isinstance(value, str) and ((code := value.lower()) in CURRENCIES or is_code(code)):
        return code
    raise BadEvent(f"{value!r} is no currency"[:80], path=f"{path}.currency")


def moment(obj: Obj, name: str, path: str) -> int:
    """A required time in Unix seconds, between 2000 and 2100."""
    value = obj.get(name)
    if type(value) is not int or not _OLDEST <= value < _NEWEST:
        raise BadEvent(f"{value!r}"[:40] + " is no time between 2000 and 2100", path=f"{path}.{name}")
    return value


def opt_moment(obj: Obj, name: str, path: str) -> int:
    """A time that may be absent or null (0)."""
    value = obj.get(name)
    if value is None:
        return 0
    if type(value) is int and _OLDEST <= value < _NEWEST:
        return value
    return moment(obj, name, path)


def child(obj: Obj, name: str, path: str) -> Obj:
    """A nested object; absent or null is {}."""
    value = obj.get(name)
    if type(value) is dict:
        return value
    if value is None:
        return {}
    raise BadEvent(f"expected an object, found {type(value).__name__}", path=f"{path}.{name}")


def listed(obj: Obj, name: str, path: str) -> list[Obj]:
    """The objects of a Stripe list (`{"data": […]}`); absent or null is []."""
    data = child(obj, name, path).get("data")
    if data is None:
        return []
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise BadEvent("expected a list of objects", path=f"{path}.{name}.data")
    return data


def metadata(obj: Obj, path: str, name: str = "metadata") -> dict[str, str]:
    """Stripe metadata: text to text, byte for byte."""
    value = child(obj, name, path)
    size = 0
    for key, item in value.items():
        if type(item) is not str:
            raise BadEvent("metadata values are text", path=f"{path}.{name}.{key}"[:200])
        if not (key.isascii() and item.isascii()):
            text(key, f"{path}.{name}")
            text(item, f"{path}.{name}.{key}"[:200])
        size += len(key) + len(item)
    if size > _METADATA_BYTES:
        raise BadEvent(f"{size} characters of metadata are more than Stripe allows", path=f"{path}.{name}")
    return value


def email(value: Any, path: str, into: Obj | None = None) -> str:
    """An email as identity (see `schemas.emails`), or an erasure's mark; '' when there is none.

    Text that is no email is none either: then `refused` in `into` says why.
    """
    address = emails.normal(text(value, path))
    if address and (reason := emails.problem(address)) and not marked(address):
        if into is not None:
            into["refused"] = reason
        return ""
    return address
