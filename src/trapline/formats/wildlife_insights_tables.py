"""What Wildlife Insights' tables say: which columns are theirs, and who identified what."""

from __future__ import annotations

from collections.abc import Sequence

BY_MACHINE = r"(?i)computer vision|\bcv\b|speciesnet|megadetector|\(([0-9a-f]{8,}|detector)\)$"
"""What `identified_by` says where no person did: Wildlife Insights' words, and how we write who says so."""

_OF_IMAGES = {"deployment_id", "image_id"}
_OWN = ("is_blank", "identified_by", "cv_confidence", "number_of_objects", "uncertainty")


def is_images_table(names: Sequence[str]) -> bool:
    """Whether the names of columns are those of images.csv, of a download or of a batch upload."""
    have = set(names)
    return have >= _OF_IMAGES and ("wi_taxon_id" in have or len(have & set(_OWN)) > 1)
