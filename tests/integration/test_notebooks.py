"""The notebooks of examples/ run from the first cell to the last, and were kept as they ran."""

import os
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
SMALLER = {
    "locations=20, events_per_location=5": "locations=12, events_per_location=4",
    "locations=28, events_per_location=8": "locations=12, events_per_location=4",
}
"""What is written, and what the test writes in its place: fewer photos, and nothing else."""


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    from run_notebooks import run

    text = path.read_text(encoding="utf-8")
    for written, smaller in SMALLER.items():
        text = text.replace(written, smaller)
    (tmp_path / path.name).write_text(text, encoding="utf-8")
    made = run(tmp_path / path.name, tmp_path)
    assert all(cell.execution_count for cell in made.cells if cell.cell_type == "code")


def test_what_the_tests_ask_less_of_stands_in_a_notebook() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in NOTEBOOKS)
    assert [written for written in SMALLER if written not in text] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_was_run_in_order_and_shows_no_pixels(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    kinds = {kind for cell in cells for output in cell.outputs for kind in output.get("data", {})}
    assert not {kind for kind in kinds if kind.startswith("image/")}
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
