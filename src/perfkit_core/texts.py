"""Texts from files and plugins, made safe to show."""

from __future__ import annotations

from typing import Final

_KEPT: Final = "\n\t"
_CONTROLS: Final = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_VISIBLE: Final = {code: ascii(chr(code))[1:-1] for code in _CONTROLS if chr(code) not in _KEPT}


def visible(text: str) -> str:
    """Return ``text`` with control characters written out: names from files and plugins must not steer a terminal.

    Escape sequences, carriage returns and what turns the direction of writing are shown as in a Python string;
    line ends and tabs stay.
    """
    return text.translate(_VISIBLE)
