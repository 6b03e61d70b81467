"""Runs notebooks and keeps what they say, each in an empty folder of its own.

usage: python scripts/run_notebooks.py FOLDER
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def run(path: Path, folder: Path) -> nbformat.NotebookNode:
    """The notebook after all its cells ran in the folder; raises `CellExecutionError` where one fails."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # the times of day
        if cell.cell_type == "code":  # warnings have the paths of this machine
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
    return notebook


def main(folder: Path) -> None:
    """Run all of a folder in place."""
    for path in sorted(folder.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as desk:
            nbformat.write(run(path, Path(desk)), path)
        print(f"{path} ran")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
