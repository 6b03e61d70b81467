"""Backbones that come with Trapline: model files whose `embedding` heads are trained on.

Each file here was made by `scripts/make_backbone.py`; what it is and may be used for stands in its card
(`trapline show`) and in NOTICE.
"""

from __future__ import annotations

from trapline.models.shipped import ShippedFiles

SHIPPED = ShippedFiles(__name__, "backbone")
names, path = SHIPPED.names, SHIPPED.path
