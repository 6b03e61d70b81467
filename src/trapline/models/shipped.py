"""Files that come with Trapline as data of a package: found by name, and trusted as the code beside them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from trapline.errors import UsageError


@dataclass(frozen=True)
class ShippedFiles:
    """The ONNX files in a package's folder.

    Attributes:
        package: its name.
        kind: what they are, in a word.
    """

    package: str
    kind: str

    @property
    def folder(self) -> Path:
        """Where they are installed."""
        return Path(str(resources.files(self.package)))

    def names(self) -> list[str]:
        """Their names, sorted."""
        return sorted(file.stem for file in self.folder.iterdir() if file.suffix == ".onnx")

    def path(self, name: str) -> Path:
        """The file of that name.

        Raises:
            UsageError: there is none of that name; the message lists those there are.
        """
        if name not in self.names():
            known = ", ".join(self.names())
            raise UsageError(f"Trapline ships no {self.kind} named '{name}'; it ships: {known}.")
        return self.folder / f"{name}.onnx"

    def has(self, file: Path) -> bool:
        """Whether a file is one of these, which are as trusted as the code beside them."""
        return file.suffix == ".onnx" and file.resolve().parent == self.folder.resolve()
