"""Graphs that take the frames of one event as their batch, and say one thing of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from string import Template

import onnx

from trapline.models.graph_parts import put_around, width_of
from trapline.recipes import Statistic

# 128 is the grey of a place that does not differ from the background. The median is the mean of the two
# frames in the middle, which are one where their number is odd.
_BACKGROUND = """
background (uint8[batch, height, width, 3] images) => (uint8[both, height, width, 3] both)
<int64[1] one = {1}, int64[1] two = {2}, float half = {0.5}, float grey = {128}, float least = {0},
 float most = {255}> {
    exact = Cast <to = 1> (images)
    number = Shape <start = 0, end = 1> (images)
    ordered, indices = TopK <axis = 0, largest = 0> (exact, number)
    last = Sub (number, one)
    lower = Div (last, two)
    upper = Div (number, two)
    below = Gather <axis = 0> (ordered, lower)
    above = Gather <axis = 0> (ordered, upper)
    sum = Add (below, above)
    median = Mul (sum, half)
    difference = Sub (exact, median)
    shifted = Add (difference, grey)
    clipped = Clip (shifted, least, most)
    rounded = Round (clipped)
    picture = Cast <to = 2> (rounded)
    both = Concat <axis = 0> (images, picture)
}
"""
_SIDE_BY_SIDE = """
views (float[both, $width] both) => (float[batch, $width_of_both] embedding)
<int64[3] shape = {2, -1, $width}, int64 first = {0}, int64 second = {1}> {
    pair = Reshape (both, shape)
    frames = Gather <axis = 0> (pair, first)
    changes = Gather <axis = 0> (pair, second)
    embedding = Concat <axis = 1> (frames, changes)
}
"""
_STATISTICS = """
events (float[batch, $width] frames) => (float[batch, $width_of_all] embedding)
<int64[1] axis = {0}, int64[1] one = {1}> {
    mean = ReduceMean <keepdims = 1> (frames, axis)
    max = ReduceMax <keepdims = 1> (frames, axis)
    off = Sub (frames, mean)
    squared = Mul (off, off)
    variance = ReduceMean <keepdims = 1> (squared, axis)
    std = Sqrt (variance)
    all = Concat <axis = 1> ($statistics)
    number = Shape <start = 0, end = 1> (frames)
    shape = Concat <axis = 0> (number, one)
    embedding = Expand (all, shape)
}
"""


def see_background(model: onnx.ModelProto) -> onnx.ModelProto:
    """Show the network each frame twice: as it is, and less the median of all frames of its event.

    The batch is the frames of one event. The second view is `frame - median + 128`, a picture again: grey
    where nothing moved. An event of one frame is all grey there. The `embedding` [batch, D] becomes
    [batch, 2 D]: that of the frame, then that of the second view.
    """
    width = width_of(model, "embedding")
    views = Template(_SIDE_BY_SIDE).substitute(width=width, width_of_both=2 * width)
    return put_around(model, _BACKGROUND, views)


def describe_events(model: onnx.ModelProto, statistics: Sequence[Statistic]) -> onnx.ModelProto:
    """Replace the `embedding` [batch, D] by statistics over the batch, [batch, D * statistics], rows alike.

    The batch is the frames of one event. `std` divides by the number of frames.
    """
    width = width_of(model, "embedding")
    sizes = {"width": width, "width_of_all": width * len(statistics)}
    return put_around(model, Template(_STATISTICS).substitute(sizes, statistics=", ".join(statistics)))
