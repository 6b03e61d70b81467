"""The model file: one plain ONNX file with its card; opened and run here, without PyTorch.

The methods that lead to a room further right are functions of `trapline.api` with the noun first; that import
is a declared exception to "data goes one way", and they hold nothing of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from trapline.arguments import Count, checked
from trapline.errors import DataError
from trapline.images import Preprocessing
from trapline.models.answer_choices import with_answers
from trapline.models.card import Card
from trapline.models.halting import halt_for
from trapline.models.named import find_model
from trapline.models.runtimes import Session, open_session
from trapline.models.trial import STANDARD, Trial, read_tried
from trapline.models.whole_file import fingerprint_of, read_same
from trapline.notebook import as_html
from trapline.storage import AnyPath

if TYPE_CHECKING:
    from trapline import api

CARD_KEY = "trapline_card"
INPUT = "images"
OUTPUTS = ("probabilities", "logits", "embedding")

_MAX_CARD = 16 * 2**20
"""Characters. Cards of a thousand taxa have a hundredth of that."""

_ROUNDING = 1e-3
"""By which probabilities may leave 0 to 1, and their sum may leave 1."""

NO_PROBABILITY = "the model answered with something that is no number or no probability"
"""Why a photo has no answer although it could be read."""


def flaw(probabilities: npt.NDArray[np.float32], task: str) -> str | None:
    """What is wrong with the probabilities of one image, float32 [labels]; None if nothing is."""
    if np.isnan(probabilities).any():
        return "something that is no number (NaN)"
    if np.isinf(probabilities).any():
        return "something that is no number (infinite)"
    low, high = float(probabilities.min(initial=0)), float(probabilities.max(initial=0))
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        return f"probabilities outside 0 to 1 ({low:g} to {high:g})"
    total = float(probabilities.sum(dtype=np.float64))
    if task == "single-label" and abs(total - 1) > _ROUNDING:
        return f"probabilities that sum to {total:g}, and not to 1 as those of a single-label model do"
    return None


def mask_flawed(probabilities: npt.NDArray[np.float32], task: str) -> npt.NDArray[np.float32]:
    """Float32 [N, labels], with NaN in the rows that have a `flaw`: nobody must be told them."""
    flawed = [flaw(row, task) is not None for row in probabilities]
    if not any(flawed):
        return probabilities
    return np.where(np.array(flawed)[:, np.newaxis], np.float32(np.nan), probabilities)


@dataclass(frozen=True)
class Outputs:
    """What a model file answers for a batch of N images.

    Attributes:
        probabilities: float32 [N, labels], calibrated; [N, 0] for a backbone. An image about which the model
            says what are no probabilities (see `flaw`) has a row of NaN.
        logits: float32 [N, labels], before calibration; [N, 0] for a backbone.
        embedding: float32 [N, embedding_size].
    """

    probabilities: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]
    embedding: npt.NDArray[np.float32]


class ModelFile:
    """A model file, opened: its card, and a session that runs it.

    >>> import trapline
    >>> model = trapline.ModelFile("runs/head/model.onnx")
    >>> model.card.labels
    ('badger', 'bird', 'blank', 'boar', 'deer', 'fox', 'hare')
    >>> sorted(model.card.metrics)[0], model.card.task
    ('accuracy', 'single-label')

    It predicts a catalog, a folder, a list of files or one photo; the table is on disk as well:

    >>> predictions = model.predict("world/photos", "card.parquet")
    >>> len(predictions.ok), len(predictions.failed)
    (141, 0)
    >>> one = model.predict("world/photos/SYN01/IMG_0001.JPG", "one.parquet")
    >>> len(one)
    1

    What it is fed is one uint8 array, RGB, as `trapline.images.prepare` makes it:

    >>> from trapline.images import prepare
    >>> prepared = prepare("world/photos/SYN01/IMG_0001.JPG", model.card.preprocessing)
    >>> model.run(prepared.pixels[None]).probabilities.shape
    (1, 7)

    Args:
        path: of the model file, or the id of a ready model (`lite0`).
        threads: the network runs on; None for one a core.
        runtime: what runs it, one of `trapline.models.runtimes.RUNTIMES`: `auto` takes CUDA or DirectML where
            the installed ONNX Runtime has them, else the processor; `openvino` needs that extra.
        trial: how the model is tried first, in a process of its own; None for a file that this process or
            this package has made.

    Attributes:
        fingerprint: SHA-256 of the file: of every byte that an answer can depend on, as nothing is read from
            elsewhere.

    Raises:
        DataError: no model file, one whose graph is not what its card says, or one that fails its trial; or a
            ready model that is not on this machine.
        UsageError: the runtime is not on this machine, or the id is a detector's.
    """

    @checked
    def __init__(
        self,
        path: Path | str,
        *,
        threads: Count | None = None,
        runtime: str = "auto",
        trial: Trial | None = STANDARD,
    ) -> None:
        self.path = find_model(path)
        self._file = self.path.absolute()  # a notebook may change its folder
        self._open(read_tried(self.path, "model", runtime, trial), threads, runtime)

    @classmethod
    def of(
        cls, content: bytes, path: Path, *, threads: int | None = None, runtime: str = "auto"
    ) -> ModelFile:
        """A model file of its bytes, untried; `path` is only named."""
        model = cls.__new__(cls)
        model.path = path
        model._file = path.absolute()
        model._open(content, threads, runtime)
        return model

    def __reduce__(self) -> tuple[Callable[..., ModelFile], tuple[object, ...]]:
        """For processes of joblib and the like: opened again there, if it is the same file still."""
        preprocessing = self.card.preprocessing
        return _reopen, (self._file, self._threads, self.runtime, self.fingerprint, preprocessing)

    def _open(self, content: bytes, threads: int | None, runtime: str) -> None:
        self._threads = threads
        self.fingerprint = fingerprint_of(content)
        self._session = open_session(content, self.path, runtime, threads)
        self.runtime = self._session.runtime
        self.card = _read_card(self._session, self.path)
        _check_graph(self._session, self.card, self.path)

    def _repr_html_(self) -> str:
        figures = (
            (name.replace("_", " "), _with_span(figure.value, figure.low, figure.high))
            for name, figure in self.card.metrics.items()
        )
        rows = [
            ("labels", ", ".join(self.card.labels)),
            ("task", self.card.task),
            ("measured on", self.card.metrics_on),
            *figures,
        ]
        return as_html(f"Model {self.card.name}", rows, f"{self.path}, {self.fingerprint[:12]}")

    def answering(self, *, promise: float | None = None, answer: str | float | None = None) -> ModelFile:
        """The same model of taxa with other thresholds: of another promise, or that answer a share of photos.

        Args:
            promise: the share of right answers that is to be kept at each rank.
            answer: the share of photos to answer, `0.8`, `80%` or at a rank `family:80%`: with the highest
                promise that answers so many, at locations on which it was not chosen.

        Raises:
            UsageError: it is no model of taxa, or none of its card's choices goes so far.
        """
        other = object.__new__(ModelFile)  # copying would open it again
        vars(other).update(vars(self), card=with_answers(self.card, promise=promise, answer=answer))
        return other

    def predict(
        self, media: api.Media, output: Path | str, **options: Unpack[api.PredictOptions]
    ) -> api.Predictions:
        """What it says of media, one row each, and the table on disk; see `api.predict`."""
        from trapline import api

        return api.predict(self, media, output, **options)

    def explain(
        self, photo: AnyPath | str, *, catalog: api.Media | None = None, box: api.Box | None = None
    ) -> api.Explained:
        """What a model of taxa says of one photo, taxon by taxon; see `api.explain`."""
        from trapline import api

        return api.explain(self, photo, catalog=catalog, box=box)

    def export(
        self, output: Path | str, *, calibrate: api.Media, **options: Unpack[api.ExportOptions]
    ) -> api.Int8Export:
        """The same in eight bits, and what that costs; see `api.export`."""
        from trapline import api

        return api.export(self, output, calibrate=calibrate, **options)

    def content(self) -> bytes:
        """The bytes of the file.

        Raises:
            DataError: it is not what it was when it was opened.
        """
        return read_same(self._file, self.fingerprint)

    def with_preprocessing(self, preprocessing: Preprocessing) -> ModelFile:
        """The same open file, fed otherwise: another size, fit or crop.

        A head may be trained on a backbone's embedding of larger images than the backbone's card asks for.

        Raises:
            DataError: the graph does not take images of that size.
        """
        shape = self._session.inputs[0].shape
        for name, wanted, fixed in zip(
            ("height", "width"), (preprocessing.height, preprocessing.width), shape[1:3], strict=True
        ):
            if isinstance(fixed, int) and fixed != wanted:
                raise DataError(f"{self.path} only takes images of {name} {fixed}, not {wanted}.")
        changed = object.__new__(type(self))
        vars(changed).update(vars(self))
        changed.card = self.card.model_copy(update={"preprocessing": preprocessing})
        return changed

    def run(self, images: npt.NDArray[np.uint8]) -> Outputs:
        """Run one batch; what is bound by `Halt.bound` ends it.

        Args:
            images: uint8 [N, height, width, 3], RGB, made by `trapline.images` with the card's preprocessing.

        Raises:
            DataError: the batch has another type or shape, or the model's answer has; or it did not end.
            HaltedError: it was ended before it had answered.
        """
        outputs = self.run_unchecked(images)
        if self.card.task != "features":
            return replace(outputs, probabilities=mask_flawed(outputs.probabilities, self.card.task))
        if not np.isfinite(outputs.embedding).all():
            raise DataError(f"{self.path} answers with an embedding that is no number.")
        return outputs

    def run_unchecked(self, images: npt.NDArray[np.uint8]) -> Outputs:
        """The same as `run`, but with the numbers as the model gives them, whatever they are."""
        wanted = (self.card.preprocessing.height, self.card.preprocessing.width, 3)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != wanted:
            raise DataError(
                f"{self.path.name} takes uint8 images [batch, {wanted[0]}, {wanted[1]}, 3]; "
                f"got {images.dtype} {list(images.shape)}."
            )
        widths = widths_of(self.card)
        with halt_for(len(images)) as halt:
            answered = self._session.run(list(widths), {INPUT: images}, halt)
        outputs = dict(zip(widths, answered, strict=True))
        for name, width in widths.items():
            if outputs[name].dtype != np.float32 or outputs[name].shape != (len(images), width):
                raise DataError(
                    f"{self.path} answers {len(images)} images with '{name}' as {outputs[name].dtype} "
                    f"{list(outputs[name].shape)}, and not float32 [{len(images)}, {width}]."
                )
        none = np.empty((len(images), 0), np.float32)
        return Outputs(outputs.get("probabilities", none), outputs.get("logits", none), outputs["embedding"])


def _reopen(
    path: Path, threads: int | None, runtime: str, fingerprint: str, preprocessing: Preprocessing
) -> ModelFile:
    model = ModelFile(path, threads=threads, runtime=runtime)
    if model.fingerprint != fingerprint:
        raise DataError(f"{path} has changed since it was opened. Begin again.")
    return model.with_preprocessing(preprocessing)


def _with_span(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.3f}" if low is None else f"{value:.3f} ({low:.3f}–{high:.3f})"


def widths_of(card: Card) -> dict[str, int]:
    """Output -> numbers an image, as the card promises."""
    widths = {"probabilities": len(card.labels), "logits": len(card.labels), "embedding": card.embedding_size}
    return {"embedding": card.embedding_size} if card.task == "features" else widths


def _read_card(session: Session, path: Path) -> Card:
    metadata = session.metadata
    if CARD_KEY not in metadata:
        raise DataError(
            f"{path} is an ONNX model without a Trapline card, so its labels and input are unknown. Of a "
            f"classifier `trapline import {path} --labels labels.txt -o model.onnx` makes a model file."
        )
    if len(metadata[CARD_KEY]) > _MAX_CARD:
        raise DataError(
            f"The card in {path} has {len(metadata[CARD_KEY]):,} characters; at most {_MAX_CARD:,} are read."
        )
    try:
        return Card.model_validate_json(metadata[CARD_KEY])
    except (ValidationError, DataError) as error:
        raise DataError(f"The card in {path} is not readable by this Trapline: {error}") from error


def _check_graph(session: Session, card: Card, path: Path) -> None:
    """Refuse a graph whose input and outputs are not those that its card promises."""
    inputs = session.inputs
    if [item.name for item in inputs] != [INPUT] or inputs[0].type != "tensor(uint8)":
        signature = ", ".join(f"{item.name} {item.type}" for item in inputs)
        raise DataError(f"{path} must have the one input '{INPUT}', uint8; it has {signature}.")
    shape = inputs[0].shape
    wanted = (card.preprocessing.height, card.preprocessing.width, 3)
    if len(shape) != 4 or any(
        isinstance(have, int) and have != want for have, want in zip(shape[1:], wanted, strict=True)
    ):
        raise DataError(
            f"{path} takes images {shape}, but its card says [batch, {', '.join(map(str, wanted))}]."
        )
    shapes = {output.name: output.shape for output in session.outputs}
    widths = widths_of(card)
    missing = sorted(set(widths) - set(shapes))
    if missing:
        raise DataError(f"{path} lacks the outputs {missing}.")
    for name, width in widths.items():
        if len(shapes[name]) != 2 or shapes[name][1] != width:
            raise DataError(f"{path} gives '{name}' as {shapes[name]}, but its card says [batch, {width}].")
