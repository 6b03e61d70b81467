"""The part of a model file that comes after its embedding: what it answers where embeddings are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnx import utils

from trapline.errors import DataError
from trapline.models.file import INPUT, ModelFile, Outputs, mask_flawed
from trapline.models.halting import halt_for
from trapline.models.onnx_graph import read_graph
from trapline.models.runtimes import open_session

_ROWS = 8192


def answer_embeddings(model: ModelFile, embeddings: npt.NDArray[np.float32]) -> Outputs:
    """What a model file answers for images of which its embedding is known: seconds for all of a project.

    It is the file's own graph that is asked, without the network below: logits, calibration, probabilities.

    Args:
        model: with labels.
        embeddings: float32 [N, D], as `Outputs.embedding` has them; rows of NaN are answered by NaN.

    Raises:
        DataError: it is a backbone, it answers by more than the embedding (it averages mirror images, or
            looks at events), or D is not its own.
    """
    width = model.card.embedding_size
    if model.card.task == "features" or model.card.batch == "event":
        raise DataError(f"{model.path} answers nothing of an image whose embedding is known.")
    if embeddings.ndim != 2 or embeddings.shape[1] != width:
        raise DataError(f"{model.path} has an embedding of {width} numbers; got {list(embeddings.shape)}.")
    head = utils.Extractor(read_graph(model)).extract_model(["embedding"], ["logits", "probabilities"])
    if any(INPUT in node.input for node in head.graph.node):
        raise DataError(f"What {model.path} answers does not follow from its embedding alone.")
    session = open_session(head.SerializeToString(), model.path, "cpu", 1)
    logits = np.full((len(embeddings), len(model.card.labels)), np.nan, np.float32)
    probabilities = logits.copy()
    known = np.flatnonzero(np.isfinite(embeddings).all(axis=1))
    for start in range(0, len(known), _ROWS):
        rows = known[start : start + _ROWS]
        with halt_for(len(rows)) as halt:
            answered = session.run(["logits", "probabilities"], {"embedding": embeddings[rows]}, halt)
        logits[rows], probabilities[rows] = answered[0], mask_flawed(answered[1], model.card.task)
    return Outputs(probabilities, logits, embeddings)
