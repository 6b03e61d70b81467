"""The zip that a code-execution competition runs: `main.py`, the model and the code that it needs."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

from trapline.competitions.code_execution.extract import PACKED, extract
from trapline.competitions.submission import find_absent, read_format, refuse_numbers, translate_labels
from trapline.errors import DataError, UsageError
from trapline.models import Card, ModelFile
from trapline.storage import replace_whole

DEFAULT_HOURS = 8.0
DEFAULT_ABSENT = 0.001
_DATE = (2000, 1, 1, 0, 0, 0)  # so that the same model gives the same zip
_RUNNER = "trapline.competitions.code_execution.runner"
_MAIN = f'''"""Predict the photos in data/ with assets/model.onnx; write submission.csv beside this file."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
sys.path.insert(0, str(ROOT / "assets"))

from {PACKED}.competitions.code_execution.runner import main  # noqa: E402

if __name__ == "__main__":
    main(ROOT)
'''


@dataclass(frozen=True)
class CodePackage:
    """What was built.

    Attributes:
        path: the zip.
        size: of it, bytes.
        files: in it.
        pooling: how photos become sequences, for people.
        absent_labels: labels of the format that the model does not know; empty if no format was given.
        notes: what a person should know.
    """

    path: Path
    size: int
    files: tuple[str, ...]
    pooling: str
    absent_labels: tuple[str, ...]
    notes: tuple[str, ...]


def build_package(
    model: ModelFile | Path | str,
    output: Path | str,
    *,
    format_path: Path | str | None = None,
    clip: float = 0.0,
    absent: float | None = None,
    hours: float = DEFAULT_HOURS,
) -> CodePackage:
    """Build the zip: nothing has to be installed in the container but ONNX Runtime, Pillow and NumPy.

    Args:
        model: a classifier's model file; photos become sequences as its card says (`Card.event`).
        output: the zip; overwritten.
        format_path: the competition's `submission_format.csv`, to find out now what would not fit.
        clip: keep probabilities at least this far from 0 and 1.
        absent: the probability of labels of the format that the model does not know; with a format and None
            they are an error.
        hours: that the container has; short of time, later photos of a sequence are left out.

    Raises:
        UsageError: a backbone, or a number that makes no sense.
        DataError: the labels do not fit the format.
    """
    refuse_numbers(clip, absent)
    if hours <= 0:
        raise UsageError(f"--hours above 0 are needed, not {hours}.")
    opened = model if isinstance(model, ModelFile) else ModelFile(model, runtime="cpu")
    card = opened.card
    if card.task == "features":
        raise UsageError(f"{opened.path} is a backbone without labels; train a head on it first.")
    lacking: tuple[str, ...] = ()
    if format_path is not None:
        wanted = read_format(format_path)
        lacking = find_absent(translate_labels(card.labels, wanted), wanted, absent, "The model has")
    pooling = card.pooling
    # as this version reads it: a model file of an older one lacks what has come since; cards leave this out
    read = card.model_dump(mode="json", include={"task", "labels", "preprocessing", "batch"})
    size = card.preprocessing
    read["preprocessing"] |= {"oversampling": size.oversampling, "decoding": size.decoding}
    settings = {
        "card": read,
        "pooling": pooling.model_dump(mode="json", exclude={"metrics", "metrics_on"}),
        "clip": clip,
        "absent": DEFAULT_ABSENT if absent is None else absent,
        "time_limit_s": hours * 3600,
    }
    files: dict[str, bytes] = {
        "main.py": _MAIN.encode(),
        "assets/model.onnx": opened.content(),
        "assets/settings.json": json.dumps(settings, indent=1).encode(),
    }
    files |= {f"assets/{path}": text.encode() for path, text in extract(_RUNNER).items()}
    if card.notices:
        files["assets/NOTICES.txt"] = "\n\n".join(card.notices).encode()
    output = Path(output)
    _write_zip(output, files)
    notes = [] if card.preprocessing.crop is None else ["the model cuts to boxes, but sees full frames there"]
    return CodePackage(output, output.stat().st_size, tuple(files), _pooling(card), lacking, tuple(notes))


def _pooling(card: Card) -> str:
    if card.batch == "event":
        return "the model itself, which looks at a whole sequence at a time"
    pooling = card.pooling
    return pooling.method + "".join(f", {label} by {how}" for label, how in pooling.by_label.items())


def _write_zip(output: Path, files: dict[str, bytes]) -> None:
    try:
        with (
            replace_whole(output) as partial,
            zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            for name, content in files.items():
                member = zipfile.ZipInfo(name, _DATE)
                member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                archive.writestr(member, content)
    except OSError as error:
        raise DataError(f"{output} cannot be written: {error.strerror or error}.") from error
