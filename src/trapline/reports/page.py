"""The frame that both reports share: templates, theme, figures and thumbnails, all inside one file."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trapline.catalog import as_listed
from trapline.errors import many
from trapline.evaluation import (
    describe_left_out,
    describe_small,
    describe_thresholds,
    describe_unknown,
    direction,
    ends,
    meaning,
    number,
    rounded,
    span,
    title,
    with_span,
)
from trapline.images import DEFAULT_LIMITS, Box, ImageError, load
from trapline.storage import AnyPath, RemotePath

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BLOCKS, _LEAST_BLOCK, _MARGIN = 6, 6, 0.1
"""Blocks along the longer side of what is hidden, pixels of a block at least, and what is hidden about it."""

THUMBNAIL, LARGE = 320, 800
"""The longer side of an embedded picture, pixels: of one to know a photo by, and of one to judge it by."""

COLOURS = {
    "ink": "#101112",
    "muted": "#606264",
    "line": "#d0d2d4",
    "paper": "#fafbfc",
    "accent": "#2a6f97",
    "second": "#c8741e",
    "fill": "#eceeef",
}
"""The theme's colours as matplotlib is given them; in the page each becomes a variable that follows the
reader's light or dark setting. Blue and orange are told apart with every common colour blindness."""

_FILTERS = (
    describe_left_out,
    describe_small,
    describe_thresholds,
    describe_unknown,
    direction,
    ends,
    meaning,
    number,
    rounded,
    span,
    title,
    with_span,
)
"""The words that templates share with the terminal, under their own names."""


def render(template: str, path: Path, **values: Any) -> Path:
    """Fill a template of this package and write it; everything is escaped but what is marked safe."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("trapline.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {one.__name__: one for one in _FILTERS} | {
        "words": _words,
        "many": lambda count, what: many(count, what).replace(",", "\u202f"),
        "thousands": lambda count: f"{count:,}".replace(",", "\u202f"),
        "percent": lambda share: f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_listed(environment.get_template(template).render(**values)), encoding="utf-8")
    return path


def _words(sentence: str) -> Any:
    """A sentence whose words in backticks are code."""
    from markupsafe import Markup, escape

    parts = re.split(r"`([^`\n]+)`", sentence)
    coded = (
        Markup("<code>{}</code>").format(part) if odd % 2 else escape(part) for odd, part in enumerate(parts)
    )
    return Markup("").join(coded)


def new_figure(width: float = 5.2, height: float = 3.4) -> Figure:
    """An empty figure in the theme, inches; text is at reading size when shown 1:1."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0)
    return figure


def style_axes(axes: Any, *, x: str = "", y: str = "") -> None:
    """Give axes the theme's colours, no frame above and at the right, and their titles."""
    axes.patch.set_alpha(0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(COLOURS["line"])
    axes.tick_params(colors=COLOURS["muted"], labelsize=9, length=3)
    axes.set_xlabel(x, color=COLOURS["muted"], fontsize=9.5)
    axes.set_ylabel(y, color=COLOURS["muted"], fontsize=9.5)


def as_svg(figure: Figure, name: str, description: str) -> Any:
    """A figure as inline SVG that follows the theme, with a description for those who cannot see it.

    Args:
        figure: drawn with the colours of `COLOURS`.
        name: differs from figure to figure of a page, so that ids do not clash.
        description: what the figure shows.
    """
    from markupsafe import Markup, escape
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"(id=\"|url\(#|href=\"#)", rf"\g<1>{name}-", svg)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1; font-family: inherit", svg)
    for colour, value in COLOURS.items():
        svg = svg.replace(value, f"var(--{colour})")
    label = f'role="img" aria-label="{escape(description)}"'
    head = re.compile(r"<svg [^>]*viewBox=\"([^\"]*)\"[^>]*>")
    # put by a function and not by a pattern: the label may hold backslashes
    svg = head.sub(lambda match: f'<svg viewBox="{match[1]}" {label}>', svg, count=1)
    return Markup(svg)  # noqa: S704 - matplotlib escapes the text it is given


def thumbnail(
    path: AnyPath, hidden: Sequence[Box] = (), shown: Sequence[Box] = (), *, side: int = THUMBNAIL
) -> str | None:
    """A picture as a `data:` address of a small JPEG; None if it cannot be read.

    Args:
        path: of the photo.
        hidden: parts of which nothing but large blocks of colour is to be seen,
        shown: but for these parts of them.
        side: the longer one at most, pixels.
    """
    from PIL import Image

    try:
        content = path.read(most=DEFAULT_LIMITS.max_bytes) if isinstance(path, RemotePath) else path
        pixels = load(content, min_side=lambda full: _within(full, side)).pixels
    except (ImageError, FileNotFoundError):
        return None
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    whole = image.copy()
    for box in hidden:
        _hide(image, box)
    for box in shown if hidden else ():
        part = _pixels_of(image, box, 0.0)
        image.paste(whole.crop(part), part[:2])
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=78, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _within(full: tuple[int, int], side: int) -> tuple[int, int]:
    """A height and width made smaller, so that the longer one is `side`."""
    height, width = full
    most = max(height, width, side)
    return max(1, height * side // most), max(1, width * side // most)


def _hide(image: Any, box: Box) -> None:
    """Replace a part of a picture and what is close about it by blocks, in place."""
    from PIL import Image

    corners = _pixels_of(image, box, _MARGIN * max(box.width, box.height))
    if corners[2] <= corners[0] or corners[3] <= corners[1]:
        return
    part = image.crop(corners)
    block = max(max(part.size) / _BLOCKS, _LEAST_BLOCK)
    size = max(1, round(part.width / block)), max(1, round(part.height / block))
    blocks = part.resize(size, Image.Resampling.BOX).resize(part.size, Image.Resampling.NEAREST)
    image.paste(blocks, corners[:2])


def _pixels_of(image: Any, box: Box, margin: float) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a box grown by a margin, whole pixels within the picture."""
    left, top = max(0.0, box.x - margin), max(0.0, box.y - margin)
    right, bottom = min(1.0, box.x + box.width + margin), min(1.0, box.y + box.height + margin)
    return (
        math.floor(left * image.width),
        math.floor(top * image.height),
        math.ceil(right * image.width),
        math.ceil(bottom * image.height),
    )
