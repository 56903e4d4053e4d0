"""Rounding and prefixes of rendered numbers."""

from __future__ import annotations

import pytest

from perfkit_core import units
from perfkit_core.template_context import code, number, plain


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 FLOP"),
        (999, "999 FLOP"),
        (1000, "1.000 KFLOP"),
        (999_999, "1.000 MFLOP"),
        (6_462_617_681_920, "6.463 TFLOP"),
        (5 * 10**21, "5.000 ZFLOP"),
        (-5 * 10**12, "-5.000 TFLOP"),
        (3 * 10**40, "3e+16 YFLOP"),
    ],
)
def test_flops_have_decimal_prefixes(value, text):
    assert units.format_flops(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.000 KiB"), (1024**3 * 26.73, "26.73 GiB"), (1024**2 - 1, "1.000 MiB")],
)
def test_bytes_have_binary_prefixes(value, text):
    assert units.format_bytes(value) == text


def test_counts_shares_changes_and_intensity():
    assert units.format_count(14_288_491_584) == "14.29 B"
    assert units.format_share(0.7194) == "71.9 %"
    assert units.format_share(0.0001) == "<0.1 %"
    assert units.format_share(-0.0001) == ">-0.1 %"
    assert units.format_share(0) == "0.0 %"
    assert units.format_change(0.125) == "+12.5 %"
    assert units.format_change(-0.03) == "-3.0 %"
    assert units.format_change(83117.0) == "x83118"
    assert units.format_intensity(None) == "-"
    assert units.format_intensity(412.34) == "412.3 FLOP/B"
    assert units.format_quantity(1_500_000, "time") == "1.500 ms"
    assert number(14288491584) == "14 288 491 584"


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(None, "-"), (0, "0 ns"), (380, "380 ns"), (999, "999 ns"), (1000, "1.000 µs"), (2112, "2.112 µs"),
     (999_960, "1.000 ms"), (12_300_000, "12.30 ms"), (74_101_000_000, "74.10 s"), (-1500, "-1.500 µs")],
)  # fmt: skip
def test_times_have_the_unit_that_fits(nanoseconds, text):
    assert units.format_time(nanoseconds) == text


def test_names_cannot_break_out_of_a_markdown_table():
    assert code("a|b") == "`a\\|b`"
    assert (code("\x1b[2Ja"), plain("\x1bc\u202e")) == ("`\\x1b[2Ja`", "\\\\x1bc\\\\u202e")
    assert code("a`b\nc") == "`` a`b c ``"
    assert plain("<b>x</b> | *y*\n") == "\\<b\\>x\\</b\\> \\| \\*y\\*"
