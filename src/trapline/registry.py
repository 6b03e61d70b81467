"""One form of registry for what is found by name: readers, writers, recipes, backbones, metrics.

A plain function with a decorator is the entry; each decorator lives in the room of its kind. Other packages
bring entries by an entry point, which names the module to import (or the function itself):

    [project.entry-points."trapline.readers"]
    my-dialect = "my_package.reading"

Entry points are asked for once, when a name is wanted that is not of Trapline, or the names are listed.
"""

from __future__ import annotations

import difflib
import importlib
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from trapline.errors import TraplineError, TraplineWarning, UsageError

T = TypeVar("T")


class GuestError(TraplineError):
    """An entry of another package failed in a way of its own."""


_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*")


class Registry(Mapping[str, T], Generic[T]):
    """Entries of one kind by name, in the order of registration, guests last; `-` and `_` are one.

    Attributes:
        kind: what an entry is called, in the singular ("reader").
        group: the entry points by which other packages bring entries ("trapline.readers").
    """

    def __init__(self, kind: str, group: str, *, home: str = "", besides: str = "") -> None:
        """A registry without entries.

        Args:
            kind: see the class.
            group: see the class.
            home: the module that registers Trapline's own entries, imported when one is asked for; empty if
                they are there whenever the registry is.
            besides: what may be named that is no entry, for messages ("timm/<any name of timm>").
        """
        self.kind, self.group = kind, group
        self._home, self._besides = home, besides
        self._entries: dict[str, T] = {}
        self._known_by: dict[str, tuple[str, ...]] = {}
        self._functions: dict[str, Callable[..., Any]] = {}
        self._failures: list[str] = []
        self._releases: dict[str, str] = {}
        self._asked = False
        self._lock = threading.RLock()  # a guest may list the registry while it is imported

    def add(self, name: str, entry: T, function: Callable[..., Any], known_by: Sequence[str] = ()) -> None:
        """Make an entry findable; `function` is what was decorated, by which its package is known.

        `known_by` are other words that people may look for it by: none finds it, but the error names it.

        A function that takes the place of itself (a notebook's cell run again, a module reloaded) may.

        Raises:
            UsageError: the name is taken, or is none; both packages are named.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"'{name}' is no name for a {self.kind}: use letters, digits, '-', '_' and '.', "
                "a letter or digit first."
            )
        self._bring_ours()  # what is ours has its names first
        taken = self._spelt(name)
        if taken is not None and not _is_again(function, self._functions[taken]):
            raise UsageError(
                f"There is a {self.kind} '{taken}' already, of the package {self.package(taken)}; "
                f"{_package(function)} cannot bring another: give it another name."
            )
        if taken is not None:
            del self._entries[taken], self._functions[taken]
        self._entries[name], self._functions[name] = entry, function
        self._known_by[name] = tuple(known_by)

    def find(self, name: str) -> T:
        """The entry of a name.

        Raises:
            UsageError: there is none; the near one is suggested, the others and broken guests are named.
        """
        if name in self:
            return self[name]
        words = {_plain(word).lower(): known for known in self._entries for word in self._known_by[known]}
        words |= {_plain(known).lower(): known for known in self._entries}
        near = difflib.get_close_matches(_plain(name).lower(), words, 1)
        hint = f"; did you mean '{words[near[0]]}'?" if near else "."
        names = [*map(self.described, self._entries), *([self._besides] if self._besides else [])]
        broken = "".join(f" {failure}" for failure in self._failures)
        raise UsageError(f"There is no {self.kind} '{name}'{hint} There are: {', '.join(names)}.{broken}")

    def described(self, name: str) -> str:
        """`megadetector (Timelapse, AddaxAI)`: a name, and what else people look for it by."""
        known_by = ", ".join(self._known_by[name])
        return f"{name} ({known_by})" if known_by else name

    def package(self, name: str) -> str:
        """The package that brought an entry."""
        self[name]  # so that it is there
        return _package(self._functions[self._spelt(name) or name])

    def release(self, name: str) -> str:
        """Name and version of the package that an entry point brought an entry from; empty of others."""
        return self._releases.get(self.package(name), "")

    @contextmanager
    def naming_guests(self, name: str) -> Iterator[None]:
        """While an entry of another package is at work, an error that is none of ours names that package."""
        try:
            yield
        except TraplineError:
            raise
        except Exception as error:
            package = self.package(name)
            if package == _package(Registry):
                raise
            what = f"{type(error).__name__}: {str(error).rstrip('.')}"
            raise GuestError(f"The {self.kind} '{name}' of the package {package} failed: {what}.") from error

    def __getitem__(self, name: str) -> T:
        self._bring_ours()
        known = self._spelt(name)
        if known is None:
            self._ask_guests()
            known = self._spelt(name)
        if known is None:
            raise KeyError(name)
        return self._entries[known]

    def __iter__(self) -> Iterator[str]:
        self._ask_guests()
        return iter(list(self._entries))

    def __len__(self) -> int:
        self._ask_guests()
        return len(self._entries)

    def _spelt(self, name: str) -> str | None:
        """The name as it was registered; None if it is not."""
        if name in self._entries:
            return name
        return next((known for known in self._entries if _plain(known) == _plain(name)), None)

    def _bring_ours(self) -> None:
        if self._home:
            home, self._home = self._home, ""
            importlib.import_module(home)

    def _ask_guests(self) -> None:
        self._bring_ours()
        if self._asked:
            return
        with self._lock:
            if self._asked:
                return
            self._asked = True
            points = entry_points(group=self.group)
            failures = [self._load(point) for point in sorted(points, key=lambda point: point.name)]
            self._failures = [failure for failure in failures if failure]
        for failure in self._failures:
            warnings.warn(failure, TraplineWarning, stacklevel=3)

    def _load(self, point: EntryPoint) -> str:
        """Import what an entry point names; why that failed, or nothing."""
        where = f"the entry point '{point.name} = {point.value}' ({self.group}) of the package"
        where = f"{where} {point.dist.name if point.dist else '?'}"
        try:
            point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a guest's module does at import
            for name in [name for name, one in self._functions.items() if one.__module__ == point.module]:
                del self._entries[name], self._functions[name]  # registered before it failed
            what = str(error).strip() or "no message"
            return f"Left out {where}: {type(error).__name__}: {what}"
        root = point.module.partition(".")[0]
        self._releases[root] = f"{point.dist.name} {point.dist.version}" if point.dist else ""
        if not any(_package(function) == root for function in self._functions.values()):
            return f"Left out {where}: it registers no {self.kind}. Decorate a function of it."
        return ""


def _plain(name: str) -> str:
    return name.replace("_", "-")


def _package(function: Callable[..., Any]) -> str:
    return function.__module__.partition(".")[0]


def _is_again(function: Callable[..., Any], known: Callable[..., Any]) -> bool:
    names = (function.__module__, function.__qualname__)
    return names == (known.__module__, known.__qualname__) and "<locals>" not in function.__qualname__
