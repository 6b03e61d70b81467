"""What went wrong with one photo."""

from __future__ import annotations

from trapline.errors import DataError


class ImageError(DataError):
    """A file that is no picture, or none that can be decoded within the limits.

    Attributes:
        file: the file as it was given, or `<bytes>`.
        reason: what is wrong with it, without the file's name.
    """

    def __init__(self, file: str, reason: str) -> None:
        self.file, self.reason = file, reason
        super().__init__(f"{file} cannot be used as a picture: {reason}.")

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        """Let the error cross from a worker process."""
        return type(self), (self.file, self.reason)
