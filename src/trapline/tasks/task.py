"""A piece of work that any process can do: the name of a function, and what it is told as JSON."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trapline.errors import UsageError


@dataclass(frozen=True)
class Task:
    """One call of a function, which may be made twice: what it leaves must be the same then.

    Attributes:
        name: for people, as in "shard 3"; no other task of the run has it.
        function: `module:name`, called with `arguments` by their names; it returns what is JSON-able as well.
        arguments: JSON-able.
    """

    name: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no other process could do."""
        module, _, name = self.function.partition(":")
        if not all(part.isidentifier() for part in (*module.split("."), name)):
            raise UsageError(
                f"The task '{self.name}' names the function '{self.function}'; expected is 'module:name'."
            )
        try:
            json.dumps(dict(self.arguments))
        except (TypeError, ValueError) as error:
            raise UsageError(f"The task '{self.name}' cannot be told to another process: {error}.") from None

    def find(self) -> Callable[..., Any]:
        """The function.

        Raises:
            UsageError: there is none of that name.
        """
        module, _, name = self.function.partition(":")
        try:
            function: Callable[..., Any] = getattr(importlib.import_module(module), name)
        except (ModuleNotFoundError, AttributeError) as error:
            raise UsageError(f"There is no function '{self.function}' ({error}).") from error
        return function


@dataclass(frozen=True)
class TryResult:
    """How one try of a task ended.

    Attributes:
        result: what its function returned.
        error: why it did not end well; None if it did.
        final: whether another try would end alike: the function itself said what is wrong.
        exit_status: of a command that ends with this error.
        warnings: what the function warned of.
    """

    result: Any = None
    error: str | None = None
    final: bool = False
    exit_status: int = 1
    warnings: tuple[str, ...] = ()
