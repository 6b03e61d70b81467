"""The detector that comes with Trapline, used wherever none is named.

It was made by `scripts/make_detector.py`; what it is and may be used for stands in the file (`trapline show
megadetector-lite`) and in NOTICE.
"""

from __future__ import annotations

from trapline.models.shipped import ShippedFiles

AUTO = "auto"
"""What is said where none is named."""

STANDARD = "megadetector-lite"
"""The name of the one that is used where none is named."""

SHIPPED = ShippedFiles(__name__, "detector")
names, path = SHIPPED.names, SHIPPED.path
