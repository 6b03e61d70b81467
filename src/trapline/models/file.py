"""The model file: one plain ONNX file with its card; opened and run here, without PyTorch."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from trapline.errors import DataError
from trapline.images import Preprocessing
from trapline.models.card import Card
from trapline.models.runtimes import Session, open_session

CARD_KEY = "trapline_card"
INPUT = "images"
OUTPUTS = ("probabilities", "logits", "embedding")


@dataclass(frozen=True)
class Outputs:
    """What a model file answers for a batch of N images.

    Attributes:
        probabilities: float32 [N, labels], calibrated; [N, 0] for a backbone.
        logits: float32 [N, labels], before calibration; [N, 0] for a backbone.
        embedding: float32 [N, embedding_size].
    """

    probabilities: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]
    embedding: npt.NDArray[np.float32]


class ModelFile:
    """A model file, opened: its card, and a session that runs it.

    Args:
        path: of the model file.
        threads: the network runs on; None for one a core.
        runtime: what runs it, one of `trapline.models.runtimes.RUNTIMES`: `auto` takes CUDA or DirectML where
            the installed ONNX Runtime has them, else the processor; `openvino` needs that extra.

    Raises:
        DataError: no model file, or one whose graph is not what its card says.
        UsageError: the runtime is not on this machine.

    >>> model = ModelFile("model.onnx")                       # doctest: +SKIP
    >>> model.card.labels                                     # doctest: +SKIP
    ('blank', 'hare', 'lynx')
    >>> model.run(images).probabilities.shape                 # doctest: +SKIP
    (16, 3)
    """

    def __init__(self, path: Path | str, *, threads: int | None = None, runtime: str = "auto") -> None:
        self.path = Path(path)
        if self.path.is_dir():
            raise DataError(f"{self.path} is a folder; name the model file in it (model.onnx).")
        if not self.path.is_file():
            raise DataError(f"There is no model file at {self.path}. `trapline train` makes one.")
        content = self.path.read_bytes()
        self.fingerprint = hashlib.sha256(content).hexdigest()
        self._session = open_session(content, self.path, runtime, threads)
        self.runtime = self._session.runtime
        self.card = _read_card(self._session, self.path)
        self._outputs = [output.name for output in self._session.outputs]
        _check_graph(self._session, self.card, self.path)

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
        changed = copy.copy(self)
        changed.card = self.card.model_copy(update={"preprocessing": preprocessing})
        return changed

    def run(self, images: npt.NDArray[np.uint8]) -> Outputs:
        """Run one batch.

        Args:
            images: uint8 [N, height, width, 3], RGB, made by `trapline.images` with the card's preprocessing.

        Raises:
            DataError: the batch has another type or shape.
        """
        wanted = (self.card.preprocessing.height, self.card.preprocessing.width, 3)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != wanted:
            raise DataError(
                f"{self.path.name} takes uint8 images [batch, {wanted[0]}, {wanted[1]}, 3]; "
                f"got {images.dtype} {list(images.shape)}."
            )
        names = [name for name in OUTPUTS if name in self._outputs]
        found = dict(zip(names, self._session.run(names, {INPUT: images}), strict=True))
        none = np.empty((len(images), 0), np.float32)
        return Outputs(found.get("probabilities", none), found.get("logits", none), found["embedding"])


def _read_card(session: Session, path: Path) -> Card:
    metadata = session.metadata
    if CARD_KEY not in metadata:
        raise DataError(
            f"{path} is an ONNX model without a Trapline card, so its labels and input are unknown."
        )
    try:
        return Card.model_validate_json(metadata[CARD_KEY])
    except (ValidationError, DataError) as error:
        raise DataError(f"The card in {path} is not readable by this Trapline: {error}") from error


def _check_graph(session: Session, card: Card, path: Path) -> None:
    """Refuse a graph whose input and outputs are not those that its card promises."""
    inputs = session.inputs
    if [item.name for item in inputs] != [INPUT] or inputs[0].type != "tensor(uint8)":
        found = ", ".join(f"{item.name} {item.type}" for item in inputs)
        raise DataError(f"{path} must have the one input '{INPUT}', uint8; it has {found}.")
    shape = inputs[0].shape
    wanted = (card.preprocessing.height, card.preprocessing.width, 3)
    if len(shape) != 4 or any(
        isinstance(have, int) and have != want for have, want in zip(shape[1:], wanted, strict=True)
    ):
        raise DataError(
            f"{path} takes images {shape}, but its card says [batch, {', '.join(map(str, wanted))}]."
        )
    shapes = {output.name: output.shape for output in session.outputs}
    widths = {"embedding": card.embedding_size}
    if card.task != "features":
        widths |= {"probabilities": len(card.labels), "logits": len(card.labels)}
    missing = sorted(set(widths) - set(shapes))
    if missing:
        raise DataError(f"{path} lacks the outputs {missing}.")
    for name, width in widths.items():
        if len(shapes[name]) != 2 or shapes[name][1] != width:
            raise DataError(f"{path} gives '{name}' as {shapes[name]}, but its card says [batch, {width}].")
