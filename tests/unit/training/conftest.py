"""What tests of training share."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves are put together and saved as an empty picture: pixels take longer than a small training."""

    def save(figure: Any, path: Path, *, dpi: int) -> None:
        Image.new("L", tuple(round(dpi * inches) for inches in figure.get_size_inches())).save(path)

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", save)
