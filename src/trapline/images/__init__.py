"""From a file to pixels: the only room that opens an image."""

from trapline.images.preprocessing import CropPolicy, Preprocessing

__all__ = ["CropPolicy", "Preprocessing"]
