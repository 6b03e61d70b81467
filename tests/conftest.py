"""Where the real photos are, and what is skipped where they are not."""

from pathlib import Path

import pytest

FIELD = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if FIELD.is_dir():
        return
    skip = pytest.mark.skip(reason=f"needs the real photos at {FIELD}, which are not on this machine")
    for item in items:
        if "field" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def field() -> Path:
    """The folder of real photos (only in tests marked `field`)."""
    return FIELD
