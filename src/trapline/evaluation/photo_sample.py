"""A look at some of the photos of a catalog: sizes, colour, damage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from trapline.catalog import Catalog
from trapline.evaluation.exploration import PhotoSample
from trapline.images import ImageError, load

GREY = 8
"""A photo is grey if in half of its pixels the channels differ by less than this (of 255): infrared photos
differ by the noise of JPEG only, while a coloured banner covers less than half. Infrared photos of cameras
with a tint cannot be told from daylight ones in this way and count as coloured."""


def look_at_photos(
    catalog: Catalog, sample: int, seed: int, on_file: Callable[[], object] = lambda: None
) -> PhotoSample:
    """Open up to `sample` photos, drawn without replacement; files that are missing are not drawn."""
    paths, ids = catalog.paths(), catalog.table["media_id"].to_list()
    there = [row for row, path in enumerate(paths) if path.is_file()]
    random = np.random.default_rng(seed)
    drawn = sorted(random.choice(there, min(sample, len(there)), replace=False)) if there else []
    sizes: Counter[str] = Counter()
    unreadable, damaged, grey = {}, {}, 0
    for row in drawn:
        media_id, path = ids[row], paths[row]
        try:
            loaded = load(path, min_side=(64, 64))
        except ImageError as error:
            unreadable[media_id] = error.reason
        else:
            sizes[f"{loaded.full_size[1]} × {loaded.full_size[0]}"] += 1
            grey += is_grey(loaded.pixels)
            if loaded.warning:
                damaged[media_id] = loaded.warning
        on_file()
    return PhotoSample(
        looked=len(drawn),
        of=len(catalog),
        sizes=dict(sizes.most_common()),
        grey=grey,
        unreadable=unreadable,
        damaged=damaged,
    )


def is_grey(pixels: npt.NDArray[np.uint8]) -> bool:
    """Whether uint8 [height, width, 3] shows no colour."""
    return bool(np.median(np.ptp(pixels, axis=2)) < GREY)
