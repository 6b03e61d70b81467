"""The end of a model file's graph: from logits to probabilities, as `trapline.models.calibrated` says it."""

from __future__ import annotations

import math

import numpy as np
import onnx

from trapline.errors import DataError
from trapline.models.calibrated import blank_column
from trapline.models.card import Card
from trapline.models.graph_parts import GraphBuilder


def append_probabilities(graph: onnx.GraphProto, card: Card) -> None:
    """Append logits → prior shift → blanks restored → calibration → softmax or sigmoid → `probabilities`.

    Raises:
        DataError: blanks are to be restored and no label is `blank`.
    """
    build, calibration = GraphBuilder(graph, "calibration/"), card.calibration
    flow, blank = "logits", blank_column(card.labels)
    softmax = card.task == "single-label" or calibration.exclusive
    if calibration.prior_shift:
        flow = build("Add", flow, calibration.prior_shift)
    if calibration.blank_kept < 1 and not softmax:
        if blank is None:
            raise DataError(f"'{card.name}' left blanks out of training and has no label 'blank'.")
        flow = _restore_blanks(build, flow, blank, len(card.labels), calibration.blank_kept)
    if calibration.method == "temperature":
        flow = build("Div", flow, calibration.temperature)
    elif calibration.method == "labels":
        flow = build("Mul", flow, calibration.slopes)
        flow = build("Add", flow, calibration.offsets)
    if softmax:
        build("Softmax", flow, to="probabilities", axis=1)
    else:
        build("Sigmoid", flow, to="probabilities")


def _restore_blanks(build: GraphBuilder, flow: str, blank: int, labels: int, kept: float) -> str:
    """See `trapline.metrics.restore_blanks`."""
    only = [float(index == blank) for index in range(labels)]
    blank_logit = build(
        "ReduceSum", build("Mul", flow, only), build.constant("axes", [-1], np.int64), keepdims=1
    )
    empty = build("Sub", blank_logit, math.log(kept))
    log_left = build(
        "Add", build("Sub", build("Softplus", empty), build("Softplus", blank_logit)), math.log(kept)
    )
    factor = build("Sub", math.log(kept), log_left)
    lost = build(
        "Sub", build("Sub", math.log1p(-kept), build("Softplus", build("Neg", blank_logit))), log_left
    )
    log_there = build("Neg", build("Softplus", build("Neg", flow)))
    gone = build("Add", log_there, lost)
    absent = build("Neg", build("Softplus", flow))
    either = build("Add", gone, build("Softplus", build("Sub", absent, gone)))
    restored = build("Sub", build("Add", log_there, factor), either)
    others = build("Mul", restored, [1 - one for one in only])
    return build("Add", others, build("Mul", empty, only))
