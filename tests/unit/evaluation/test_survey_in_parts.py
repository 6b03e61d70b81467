"""A catalog that stays on the disk is explored as one in memory."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from trapline import api
from trapline.catalog import Catalog, ScannedCatalog, counting
from trapline.errors import UsageError


def test_a_scanned_catalog_is_explored_as_one_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = datetime(2020, 1, 1)
    box = {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.1, "width": 0.2}
    rows = [
        {
            "media_id": f"m{index}",
            "file_path": f"RCNX{index:04}.jpg",
            "location_id": None if index % 41 == 0 else f"L{index // 9 % 5}",
            "event_id": None if index % 7 == 0 else f"e{index // 4 % 50}",
            "camera_time": None
            if index % 29 == 0
            else start + timedelta(hours=index) * (-1) ** (index == 60),
            "labels": [None, ["blank"], ["fox"], ["fox", "hare"]][index % 4],
            "event_labels": ["fox"] if index // 4 % 50 < 9 else None,
            "season": None if index < 4 else f"S{index // 20 + 1}",
            "boxes": [None, [], [box | {"height": index / 400}]][index % 3],
        }
        for index in range(250)
    ]
    catalog = Catalog.from_rows(rows, tmp_path, "rows")
    whole = api.explore(catalog, files=False)
    monkeypatch.setattr(counting, "ROWS_AT_ONCE", 40)
    opened = ScannedCatalog.load(catalog.save(tmp_path / "c.parquet"))
    parts = api.explore(opened, tmp_path / "page.html", files=False)
    assert parts.model_dump(exclude={"created"}) == whole.model_dump(exclude={"created"})
    assert any("go back" in one.title for one in parts.findings)
    assert (parts.files["depth"], parts.sample.looked) == ("none", 0)
    assert "not looked at" in (tmp_path / "page.html").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="full opens every photo"):
        api.explore(catalog, files=False, full=True)
