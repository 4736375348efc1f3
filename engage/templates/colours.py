"""The colours of mails, from the one or two that somebody chose: legible on it, and legible by night. Pure.

Contrast is WCAG 2.1's (1.4.3): 4.5 to 1 for text, and 3 to 1 for the face of a button against what is around it.
"""

import re
from typing import Final

USUAL: Final = ("#16181d", "#f2f3f5")  # a button, and what is around the mail
_DARK, _LIGHT, _BLACK, _QUIET = "#16181d", "#ffffff", "#000000", "#5c6370"
_NIGHT: Final = "#1a1d22"  # the mail's own ground by night
_NIGHT_USUAL: Final = "#f1f3f5"
_HEX: Final = re.compile("#[0-9a-f]{6}")


def is_colour(text: str) -> bool:
    """Whether it is written `#rrggbb`, in small letters."""
    return bool(_HEX.fullmatch(text))


def named(colour: str, background: str) -> dict[str, str]:
    """What templates call them; what is no colour is the usual one."""
    button = colour if is_colour(colour) else USUAL[0]
    night = _NIGHT_USUAL if button == USUAL[0] else _lifted(button)
    return {
        "colour": button,
        "on_colour": _on(button),
        "night_colour": night,
        "on_night_colour": _on(night),
        **_around(background if is_colour(background) else USUAL[1]),
    }


def _around(ground: str) -> dict[str, str]:
    quiet = _QUIET if contrast(_QUIET, ground) >= 4.5 else _on(ground)
    return {"background": ground, "on_background": _on(ground, _DARK), "quiet_on_background": quiet}


def contrast(one: str, other: str) -> float:
    """Between two colours, 1 to 21."""
    dark, light = sorted((_light(one), _light(other)))
    return (light + 0.05) / (dark + 0.05)


def _on(ground: str, wanted: str = _LIGHT) -> str:
    """The colour of text: the wanted one where it can be read (white is what people expect), else one that can be."""
    return next(each for each in (wanted, _LIGHT, _DARK, _BLACK) if contrast(each, ground) >= 4.5)


def _lifted(colour: str) -> str:
    """As near to it as can be seen on the ground of the night."""
    parts = _parts(colour)
    for step in range(21):
        lifted = "#" + "".join(f"{round(part + (255 - part) * step / 20):02x}" for part in parts)
        if contrast(lifted, _NIGHT) >= 3 and contrast(_on(lifted), lifted) >= 4.5:
            return lifted
    return _NIGHT_USUAL


def _parts(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def _light(colour: str) -> float:
    red, green, blue = (
        part / 255 / 12.92 if part / 255 <= 0.03928 else ((part / 255 + 0.055) / 1.055) ** 2.4
        for part in _parts(colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
