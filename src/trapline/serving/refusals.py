"""Why a request is not answered: one class, with the status that each interface gives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from trapline.errors import TraplineError


@dataclass(frozen=True)
class RefusalKind:
    """A kind of refusal.

    Attributes:
        code: for programs, in the JSON of the error.
        http: the HTTP status.
        grpc: the name of the gRPC status.
    """

    code: str
    http: int
    grpc: str


INVALID = RefusalKind("invalid", 400, "INVALID_ARGUMENT")
UNAUTHENTICATED = RefusalKind("unauthenticated", 401, "UNAUTHENTICATED")
FORBIDDEN = RefusalKind("forbidden", 403, "PERMISSION_DENIED")
NOT_FOUND = RefusalKind("not_found", 404, "NOT_FOUND")
TOO_SLOW = RefusalKind("too_slow", 408, "DEADLINE_EXCEEDED")
TOO_LARGE = RefusalKind("too_large", 413, "RESOURCE_EXHAUSTED")
UNSUPPORTED = RefusalKind("unsupported", 415, "INVALID_ARGUMENT")
UNREADABLE = RefusalKind("unreadable", 422, "INVALID_ARGUMENT")
BUSY = RefusalKind("busy", 429, "RESOURCE_EXHAUSTED")
HEAD_TOO_LARGE = RefusalKind("head_too_large", 431, "RESOURCE_EXHAUSTED")
INTERNAL = RefusalKind("internal", 500, "INTERNAL")
BACKEND = RefusalKind("backend", 502, "UNAVAILABLE")
NOT_READY = RefusalKind("not_ready", 503, "UNAVAILABLE")
DEADLINE = RefusalKind("deadline", 504, "DEADLINE_EXCEEDED")


class RefusedError(TraplineError):
    """A request that is not answered, and what its client can do about it.

    Attributes:
        kind: which status it gets.
        retry_after: seconds after which trying again may help; None if it will not.
        close: whether the connection is closed after it (the rest of the request is not read).
    """

    def __init__(
        self, kind: RefusalKind, message: str, *, retry_after: int | None = None, close: bool = False
    ) -> None:
        self.kind, self.retry_after, self.close = kind, retry_after, close
        super().__init__(message)

    def alone(self) -> RefusedError:
        """The same without its traceback, whose frames would keep the request in memory."""
        return RefusedError(self.kind, str(self), retry_after=self.retry_after, close=self.close)

    def document(self) -> dict[str, str]:
        """As JSON: `error` is a text, as the Open Inference Protocol and TensorFlow Serving have it."""
        return {"error": str(self), "code": self.kind.code}


def internal() -> RefusedError:
    """What a client is told of a fault of ours; the traceback stays in the server's log."""
    return RefusedError(INTERNAL, "The server made a mistake; its log says more.")


def too_late() -> RefusedError:
    """The refusal of a request whose time is over."""
    return RefusedError(DEADLINE, "The answer was not ready within the deadline.", retry_after=1)


@asynccontextmanager
async def until(deadline: float, refusal: RefusedError | None = None) -> AsyncIterator[asyncio.Timeout]:
    """What is done in this context is given up at the deadline, of the event loop's clock.

    Args:
        deadline: may be moved by what is given.
        refusal: of a request that then has no answer; `too_late` if left out.

    Raises:
        RefusedError: the deadline has passed.
    """
    try:
        async with asyncio.timeout_at(deadline) as running:
            yield running
    except TimeoutError:
        raise refusal or too_late() from None
