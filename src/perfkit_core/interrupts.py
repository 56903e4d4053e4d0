"""Ctrl-C and SIGTERM during a run: the first ends it, and none cuts off the clearing up."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _State:
    """What came so far, within ``one_interrupt``; signals are handled in the main thread alone.

    Attributes:
        raised: Whether the work was interrupted.
        held: Whether it is to be, once no shield is up.
        shields: How many are.
        hasty: Whether what is done now may be cut short.
    """

    raised = held = hasty = False
    shields = 0


_state = _State()


def _arrived(_number: int, _frame: FrameType | None) -> None:
    if _state.hasty:
        _state.held = True
        raise KeyboardInterrupt
    if _state.raised or _state.shields:
        _state.held = True
        return
    _state.raised = True
    raise KeyboardInterrupt


@contextmanager
def one_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt at the first SIGINT or SIGTERM and at no other, so that clearing up is not cut off.

    Does nothing outside the main thread, and leaves a signal alone that somebody else handles or ignores.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    ours = {number: handler for number, handler in usual.items() if signal.getsignal(number) is handler}
    _state.raised = _state.held = False
    for number in ours:
        signal.signal(number, _arrived)
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)


@contextmanager
def shielded() -> Iterator[None]:
    """Hold a signal back until the end: for what is short and must be done as a whole."""
    _state.shields += 1
    try:
        yield
    finally:
        _state.shields -= 1
        if _state.held and not _state.shields and not _state.raised:
            _state.raised = True
            raise KeyboardInterrupt


@contextmanager
def hasty() -> Iterator[None]:
    """Let every signal raise KeyboardInterrupt: in clearing up, for a step that may be skipped."""
    before, _state.hasty = _state.hasty, True
    try:
        yield
    finally:
        _state.hasty = before
