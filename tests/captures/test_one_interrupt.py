"""Signals that come while a run is cleared up."""

from __future__ import annotations

import signal

import pytest

from perfkit_core.interrupts import hasty, one_interrupt, shielded


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_only_the_first_signal_interrupts_but_for_what_may_be_skipped(number):
    done = []
    with one_interrupt():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        for _ in range(3):
            signal.raise_signal(number)
        done.append("cleared up")
        with pytest.raises(KeyboardInterrupt), shielded(), hasty():
            signal.raise_signal(number)
        signal.raise_signal(number)
    assert done == ["cleared up"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_waits_until_the_shield_is_down():
    done = []
    with one_interrupt(), pytest.raises(KeyboardInterrupt), shielded():
        signal.raise_signal(signal.SIGINT)
        done.append("whole")
    assert done == ["whole"]
