"""The process in which a foreign model is read and translated; see `importing` for the other end.

The job (JSON) is its standard input, the verdict (JSON) its standard output.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from trapline.errors import TraplineError, UsageError
from trapline.models.foreign.description import describe
from trapline.models.foreign.importing import MEMORY, translate

_MOST_WORDS = 2000


def main() -> None:
    """Translate the model that the job names."""
    warnings.simplefilter("ignore")
    job: dict[str, Any] = json.load(sys.stdin)
    keras_home = str(Path(job["draft"]).parent)  # the user's own may say channels first, and is written to
    os.environ |= {"KERAS_BACKEND": "torch", "KERAS_HOME": keras_home, "CUDA_VISIBLE_DEVICES": ""}
    verdicts = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no verdict
    _limit()
    json.dump(_verdict(job), verdicts)
    verdicts.flush()
    os._exit(0)  # whatever threads a library has left


def _limit() -> None:
    """Hold this process to so much memory, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        most = resource.getrlimit(resource.RLIMIT_AS)[1]
        # what PyTorch maps and never uses is a good part of that
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY if most < 0 else min(MEMORY, most), most))


def _verdict(job: dict[str, Any]) -> dict[str, Any]:
    path = Path(job["path"])
    try:
        origin = translate(path, Path(job["draft"]), describe(job["about"]))
    except TraplineError as error:
        return {"error": str(error)[:_MOST_WORDS], "usage": isinstance(error, UsageError)}
    except MemoryError:
        return {"error": f"{path} takes more memory than there is for it. It is not used.", "usage": False}
    except Exception as error:  # noqa: BLE001 - of foreign readers, whose errors have no common base but Exception
        what = f"{type(error).__name__}: {error}"[:_MOST_WORDS]
        return {"error": f"{path} could not be translated: {what}", "usage": False}
    return {"kind": origin.kind, "assumed": origin.assumed}
