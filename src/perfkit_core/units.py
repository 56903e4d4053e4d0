"""Numbers as text, for reports and messages. Stored data is never rounded; rounding happens here."""

from __future__ import annotations

_DECIMAL = ("", "K", "M", "G", "T", "P", "E", "Z", "Y")
_COUNT = ("", "K", "M", "B", "T")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB")


def format_flops(value: float) -> str:
    """FLOPs with a decimal prefix: ``6.463 TFLOP``."""
    text, prefix = _scaled(value, 1000, _DECIMAL)
    return f"{text} {prefix}FLOP"


def format_bytes(value: float) -> str:
    """Bytes with a binary prefix: ``26.73 GiB``; 1 GiB is 1024³ bytes."""
    text, prefix = _scaled(value, 1024, _BINARY)
    return f"{text} {prefix}"


def format_count(value: float) -> str:
    """A plain count with K, M, B (10⁹) or T (10¹²): ``14.29 B``."""
    text, prefix = _scaled(value, 1000, _COUNT)
    return f"{text} {prefix}".rstrip()


def format_number(value: float) -> str:
    """A count or a mean of counts, at most four digits after what is whole: ``843``, ``2.5``, ``12560``."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def format_share(value: float) -> str:
    """A part of 1 as a percentage: ``71.9 %``; a part too small to show is ``<0.1 %``."""
    percent = 100 * value
    if 0 < abs(percent) < 0.05:
        return "<0.1 %" if percent > 0 else ">-0.1 %"
    return f"{percent:.1f} %"


def format_change(value: float) -> str:
    """A relative change: ``+12.5 %``, ``-3.0 %``; from tenfold on as a factor: ``x84.12``."""
    if value >= 9:
        return f"x{_four_digits(value + 1)}"
    return f"{'+' if value > 0 else ''}{format_share(value)}"


def format_intensity(value: float | None) -> str:
    """FLOPs per byte moved: ``412.3 FLOP/B``; a dash when nothing is moved (None)."""
    if value is None:
        return "-"
    return f"{_four_digits(value) if value else 0} FLOP/B"


def format_quantity(value: float, by: str) -> str:
    """A value of the measure ``by``: ``flops``, ``bytes`` or ``time`` (nanoseconds, shown as ms)."""
    if by == "flops":
        return format_flops(value)
    if by == "bytes":
        return format_bytes(value)
    return f"{_four_digits(value / 1_000_000)} ms"


def format_time(nanoseconds: float | None) -> str:
    """Nanoseconds in the unit that fits: ``380 ns``, ``2.112 µs``, ``12.30 ms``, ``74.10 s``; a dash for None."""
    if nanoseconds is None:
        return "-"
    size = abs(nanoseconds)
    for factor, unit in ((1, "ns"), (1e3, "µs"), (1e6, "ms")):
        if size < 999.95 * factor:
            return f"{nanoseconds:.4g} ns" if factor == 1 else f"{_four_digits(nanoseconds / factor)} {unit}"
    return f"{_four_digits(nanoseconds / 1e9)} s"


def format_iterations(iterations: int | None) -> str:
    """Return how many iterations of a loop are measured, in words.

    Args:
        iterations: 0 for all; None leaves it to the loop.
    """
    if iterations is None:
        return "as many measured iterations as suit it"
    return f"{iterations} measured iteration{'s' * (iterations != 1)}" if iterations else "every iteration"


def format_ms(value: float | None) -> str:
    """Milliseconds, from a second on as seconds: ``12.3 ms``, ``4.56 s``; a dash for None."""
    if value is None:
        return "-"
    return f"{_four_digits(value)} ms" if value < 1000 else f"{_four_digits(value / 1000)} s"


def _scaled(value: float, base: int, prefixes: tuple[str, ...]) -> tuple[str, str]:
    """Return the number with four significant digits and the prefix that fits it."""
    number, index = float(abs(value)), 0
    while index < len(prefixes) - 1 and float(_four_digits(number)) >= base:
        number, index = number / base, index + 1
    sign = "-" if value < 0 else ""
    return sign + (str(abs(value)) if index == 0 and value == int(value) else _four_digits(number)), prefixes[index]


def _four_digits(number: float) -> str:
    if number >= 1e6:
        return f"{number:.4g}"
    if number >= 999.95:
        return f"{number:.0f}"
    if number >= 99.995:
        return f"{number:.1f}"
    return f"{number:.2f}" if number >= 9.9995 else f"{number:.3f}"
