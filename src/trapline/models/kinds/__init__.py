"""The model that comes with Trapline and tells what is in a box: an animal, a person or a vehicle.

It was made by `scripts/make_kinds.py`; how far it can be believed stands in its card (`trapline show kinds`),
and what it may be used for there and in NOTICE.
"""

from __future__ import annotations

from trapline.models.shipped import ShippedFiles

STANDARD = "kinds"
"""The name of the one that is asked about the boxes of a detector that calls everything an animal."""

SHIPPED = ShippedFiles(__name__, "model of kinds")
names, path = SHIPPED.names, SHIPPED.path
