"""The process in which a model is tried; see `trial` for the other end.

The file is its standard input, the job its argument, the verdict (JSON) its standard output. It ends by
itself when its time is over, whatever happened to who asked.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trapline.errors import DataError, TraplineError, UsageError
from trapline.models.detector import Detector
from trapline.models.file import ModelFile, flaw
from trapline.models.probes import probe_images
from trapline.models.runtimes import memory_is_short
from trapline.models.self_contained import parse_model
from trapline.models.trial import memory_of, too_large
from trapline.models.whole_file import MAX_BYTES, fingerprint_of

_MOST_WORDS = 2000
"""Characters of a message: a runtime's may quote what is in the file."""

_ALIKE = 0.01
"""By which a probability may differ when other images are in the batch; rounding is far smaller."""

_MAPPED_BY_A_THREAD = 2**27
_SILENCE = open(os.devnull, "w")  # noqa: SIM115, PTH123 - open as long as the process lives

Pixels = npt.NDArray[np.uint8]


def main() -> None:
    """Try the model on standard input."""
    job: dict[str, Any] = json.loads(sys.argv[1])
    verdicts = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints is no verdict
    _watch(job["seconds"])
    _limit(job["memory"])
    json.dump(_verdict(sys.stdin.buffer.read(MAX_BYTES), job), verdicts)
    verdicts.flush()
    os._exit(0)  # whatever threads a runtime has left


def _watch(seconds: float) -> None:
    """End this process in so many seconds, unless it is said again until then."""
    # The watch is a thread of C: it ends the process even while a runtime keeps the interpreter busy.
    faulthandler.dump_traceback_later(seconds, exit=True, file=_SILENCE)


def _limit(memory: int) -> None:
    """Hold this process to that much memory and the last turn of the queue; where the system can."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")  # if one must go, this one
    if hasattr(os, "nice"):
        os.nice(5)
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What is mapped is more than what is used: that of the libraries, and of every thread of a runtime some.
    memory += memory_of("self")[0] + _MAPPED_BY_A_THREAD * (os.cpu_count() or 1)
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    with suppress(OSError, ValueError):  # macOS refuses what is below what it has mapped
        resource.setrlimit(resource.RLIMIT_AS, (memory if most < 0 else min(memory, most), most))


def _verdict(content: bytes, job: dict[str, Any]) -> dict[str, Any]:
    path, runtime = Path(job["path"]), job["runtime"]
    try:
        parse_model(content, path)
        if job["kind"] == "detector":
            _try_detector(Detector.of(content, path, runtime=runtime, **job["asked"]), job)
        else:
            _try_model(ModelFile.of(content, path, threads=1, runtime=runtime), job)
    except Exception as error:  # noqa: BLE001 - the runtimes' errors have no common base but Exception
        if memory_is_short(error):
            problem = too_large(path)
        elif isinstance(error, TraplineError):
            problem = str(error)
        else:
            problem = f"{path} can be opened, but not run: {error}"
        return {"error": problem[:_MOST_WORDS], "usage": isinstance(error, UsageError)}
    return {"fingerprint": fingerprint_of(content)}


def _try_model(model: ModelFile, job: dict[str, Any]) -> None:
    """Ask a model about nothing, noise and something like a picture, alone and together.

    Raises:
        DataError: its answers are none that it may give; what is wrong with them.
    """
    size = model.card.preprocessing
    probes = list(probe_images(size.height, size.width))
    alone = [_sound(model, image[np.newaxis], job["seconds"])[0] for image in probes]
    for many in job["batches"]:
        kinds = _kinds(many)
        together = _sound(model, np.stack([probes[kind] for kind in kinds]), job["seconds"])
        apart = np.abs(together - np.stack([alone[kind] for kind in kinds])).max(initial=0)
        if model.card.batch == "media" and model.card.task != "features" and apart > _ALIKE:
            raise DataError(
                f"{model.path} answers otherwise for an image when others are in its batch (by {apart:.2g}); "
                "a model whose card says that images are answered by themselves must not."
            )


def _sound(model: ModelFile, images: Pixels, seconds: float) -> npt.NDArray[np.float32]:
    """The probabilities of images; of a backbone, which has none, its embedding.

    Raises:
        DataError: they are none.
    """
    _watch(seconds * len(images))
    outputs = model.run_unchecked(images)
    for row in outputs.probabilities:
        if model.card.labels and (wrong := flaw(row, model.card.task)) is not None:
            raise DataError(f"{model.path} answers with {wrong}.")
    if not np.isfinite(outputs.embedding).all() or np.isnan(outputs.logits).any():
        raise DataError(f"{model.path} answers with an embedding or logits that are no numbers.")
    return outputs.probabilities if model.card.labels else outputs.embedding


def _try_detector(detector: Detector, job: dict[str, Any]) -> None:
    size = detector.preprocessing
    probes = list(probe_images(size.height, size.width))
    for many in job["batches"]:
        _watch(job["seconds"] * many)
        detector.detect(np.stack([probes[kind] for kind in _kinds(many)]))


def _kinds(many: int) -> list[int]:
    """Which of the three a batch of so many images has: of two one is a picture and one noise."""
    return [2 - index % 3 for index in range(many)]
