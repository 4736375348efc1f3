"""A logo that was uploaded: text in the brand, so that every machine has it, and an image to mail programs. Pure."""

import base64
import binascii
import hashlib
import re
from typing import Final

LARGEST: Final = 100_000  # bytes: it is fetched with every mail, and shown 40 pixels high
_KINDS: Final = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF87a": "gif", b"GIF89a": "gif"}
_PACKED: Final = re.compile("data:image/(png|jpeg|gif);base64,([A-Za-z0-9+/]+={0,2})")


def packed(content: bytes) -> str:
    """As the brand keeps it. Raises ValueError, in a sentence, for what mail programs don't show."""
    kind = next((kind for begins, kind in _KINDS.items() if content.startswith(begins)), "")
    if not kind:
        raise ValueError("a logo is a PNG, JPEG or GIF image: mail programs show no others")
    if len(content) > LARGEST:
        raise ValueError(too_large(len(content)))
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def too_large(size: int) -> str:
    """What is said of so many bytes."""
    told = f"{size / 1_000_000:.1f} MB" if size >= 1_000_000 else f"{-(-size // 1_000)} kB"
    return f"the logo has {told}, and may have {LARGEST // 1_000} kB: it is shown 40 pixels high, so save it smaller"


def unpacked(text: str) -> tuple[str, bytes] | None:
    """Its content type and its bytes; None for what `packed` did not make."""
    found = _PACKED.fullmatch(text)
    if found is None:
        return None
    try:
        content = base64.b64decode(found[2], validate=True)
        return (f"image/{found[1]}", content) if packed(content) == text else None
    except (ValueError, binascii.Error):
        return None


def address(text: str, base: str) -> str:
    """Where a mail program fetches it, below the public address `base`; without one it is itself the address."""
    version = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{base.rstrip('/')}/logo?v={version}" if base and text.startswith("data:") else text
