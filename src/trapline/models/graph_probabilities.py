"""The end of a model file's graph: from logits to probabilities, as `trapline.models.calibrated` says it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from trapline.errors import DataError
from trapline.models.calibrated import blank_column
from trapline.models.card import Card


def append_probabilities(graph: onnx.GraphProto, card: Card, new_name: Callable[[str], str]) -> None:
    """Append logits → prior shift → blanks restored → calibration → softmax or sigmoid → `probabilities`.

    Raises:
        DataError: blanks are to be restored and no label is `blank`.
    """
    build, calibration = _Builder(graph, new_name), card.calibration
    flow, blank = "logits", blank_column(card.labels)
    softmax = card.task == "single-label" or calibration.exclusive
    if calibration.prior_shift:
        flow = build("Add", flow, calibration.prior_shift, name="shifted")
    if calibration.blank_kept < 1 and not softmax:
        if blank is None:
            raise DataError(f"'{card.name}' left blanks out of training and has no label 'blank'.")
        flow = _restore_blanks(build, flow, blank, len(card.labels), calibration.blank_kept)
    if calibration.method == "temperature":
        flow = build("Div", flow, calibration.temperature, name="scaled")
    elif calibration.method == "labels":
        flow = build("Mul", flow, calibration.slopes, name="sloped")
        flow = build("Add", flow, calibration.offsets, name="scaled")
    if softmax:
        graph.node.append(helper.make_node("Softmax", [flow], ["probabilities"], axis=1))
    else:
        graph.node.append(helper.make_node("Sigmoid", [flow], ["probabilities"]))


class _Builder:
    """Appends a node and returns the name of its output; numbers among the inputs become constants."""

    def __init__(self, graph: onnx.GraphProto, new_name: Callable[[str], str]) -> None:
        self.graph, self.new_name = graph, new_name

    def __call__(self, operator: str, *inputs: Any, name: str = "", **attributes: Any) -> str:
        names = [given if isinstance(given, str) else self.constant(given) for given in inputs]
        output = self.new_name(f"calibration/{name or operator.lower()}")
        self.graph.node.append(helper.make_node(operator, names, [output], **attributes))
        return output

    def constant(self, values: float | Sequence[float]) -> str:
        """A float32 constant."""
        name = self.new_name("calibration/constant")
        self.graph.initializer.append(numpy_helper.from_array(np.array(values, np.float32), name))
        return name

    def axes(self) -> str:
        """The last axis, as ReduceSum takes it."""
        name = self.new_name("calibration/axes")
        self.graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), name))
        return name


def _restore_blanks(build: _Builder, flow: str, blank: int, labels: int, kept: float) -> str:
    """See `trapline.metrics.restore_blanks`."""
    only = [float(index == blank) for index in range(labels)]
    blank_logit = build("ReduceSum", build("Mul", flow, only), build.axes(), keepdims=1)
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
