"""Regions from module hooks: every call of a watched torch module becomes a region."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from perfkit_core.regions import Regions


class _Handle(Protocol):
    def remove(self) -> None: ...


class Watch:
    """The hooks on one module and everything below it.

    How deep a module is called is known only when it runs, so all are hooked at first; after one whole run,
    those that are only ever called below the region depth are forgotten, and cost nothing any more.

    Args:
        regions: Where regions open.
        module: A ``torch.nn.Module``.
        name: Region of the module's own calls; None for none.
        hidden: Why nothing below can be seen; empty when it can.
        detailed: Whether the modules below are seen from the start.
    """

    def __init__(self, regions: Regions, module: Any, name: str | None, *, hidden: str, detailed: bool) -> None:
        self._regions = regions
        self._root = name
        self._hidden = hidden or _compiled(module)
        self._handles: dict[str, tuple[_Handle, _Handle]] = {}
        self._called: set[str] = set()
        self._seen: set[str] = set()
        self._open = threading.local()
        self._below = {} if self._hidden else {path: child for path, child in module.named_modules() if path}
        if name is not None:
            self._handles[""] = self._hook("", module)
        if self._hidden and name is None:
            regions.hidden[type(module).__name__] = self._hidden
        self.show(modules=detailed)

    def show(self, *, modules: bool) -> None:
        """Hook the modules below, or take their hooks away: one that does nothing still costs every call."""
        for name, child in self._below.items():
            if modules and name not in self._handles:
                self._handles[name] = self._hook(name, child)
            elif not modules and name in self._handles:
                self._drop(name)

    def _hook(self, qualified: str, module: Any) -> tuple[_Handle, _Handle]:
        def enter(*_: Any) -> None:
            self._enter(qualified)

        def leave(*_: Any) -> None:
            self._leave()

        # always_call: a module that raises must close its region too
        return module.register_forward_pre_hook(enter), module.register_forward_hook(leave, always_call=True)

    def _enter(self, qualified: str) -> None:
        regions, stack = self._regions, self._stack()
        path = regions.path
        if path:
            self._called.add(qualified)
        shown = bool(path) and path.count("/") < regions.depth
        if shown:
            ancestor = next((name for name in reversed(stack) if name is not None and _below(qualified, name)), "")
            name = qualified[len(ancestor) + 1 :] if ancestor else qualified
            self._seen.add(qualified)
            regions.push(name or str(self._root), named=not qualified)
            if self._hidden:
                regions.hidden[regions.path] = self._hidden
        stack.append(qualified if shown else None)

    def _leave(self) -> None:
        stack = self._stack()
        if stack and stack.pop() is not None:
            self._regions.pop()

    def prune(self) -> None:
        """Forget modules that were called, and never as a region."""
        for name in (self._called - self._seen) & self._below.keys():
            del self._below[name]
            if name in self._handles:
                self._drop(name)

    def remove(self) -> None:
        """Remove all hooks."""
        self._below = {}
        for name in list(self._handles):
            self._drop(name)

    def _drop(self, name: str) -> None:
        for handle in self._handles.pop(name):
            handle.remove()

    def _stack(self) -> list[str | None]:
        stack: list[str | None] | None = getattr(self._open, "names", None)
        if stack is None:
            stack = self._open.names = []
        return stack


def _below(name: str, ancestor: str) -> bool:
    return bool(ancestor) and name.startswith(f"{ancestor}.")


def _compiled(module: Any) -> str:
    return "torch.compile" if type(module).__name__ == "OptimizedModule" else ""
