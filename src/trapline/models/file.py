"""The model file: one plain ONNX file with its card; opened and run here, without PyTorch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from trapline.errors import DataError
from trapline.models.card import Card

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

    >>> model = ModelFile("model.onnx")                       # doctest: +SKIP
    >>> model.card.labels                                     # doctest: +SKIP
    ('blank', 'hare', 'lynx')
    >>> model.run(images).probabilities.shape                 # doctest: +SKIP
    (16, 3)
    """

    def __init__(
        self, path: Path | str, *, threads: int | None = None, providers: Sequence[str] | None = None
    ) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise DataError(f"There is no model file at {self.path}.")
        content = self.path.read_bytes()
        self.fingerprint = hashlib.sha256(content).hexdigest()
        self._session = _open_session(content, self.path, threads, providers)
        self.card = _read_card(self._session, self.path)
        self._outputs = [output.name for output in self._session.get_outputs()]
        expected = {"embedding"} if self.card.task == "features" else set(OUTPUTS)
        if not expected <= set(self._outputs):
            raise DataError(f"{self.path} lacks the outputs {sorted(expected - set(self._outputs))}.")

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


def _open_session(content: bytes, path: Path, threads: int | None, providers: Sequence[str] | None) -> Any:
    os.environ.setdefault(
        "ORT_DISABLE_TELEMETRY", "1"
    )  # ONNX Runtime 1.29+ writes telemetry unless told not to
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(
            content, options, providers=list(providers or ["CPUExecutionProvider"])
        )
    except Exception as error:
        raise DataError(f"{path} cannot be opened as an ONNX model: {error}") from error


def _read_card(session: Any, path: Path) -> Card:
    metadata = session.get_modelmeta().custom_metadata_map
    if CARD_KEY not in metadata:
        raise DataError(
            f"{path} is an ONNX model without a Trapline card, so its labels and input are unknown."
        )
    try:
        return Card.model_validate_json(metadata[CARD_KEY])
    except ValidationError as error:
        raise DataError(f"The card in {path} is not readable by this Trapline: {error}") from error
