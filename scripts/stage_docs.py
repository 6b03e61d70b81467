"""Puts what the site of the documentation is made of into FOLDER/docs, laid out as the repository is.

usage: python scripts/stage_docs.py FOLDER

The pages are those that a git host shows, with the same links. Here alone the notebooks become pages, folders
that are linked to become lists of their files, and the pages of the Python interface get the docstrings of
what `trapline.__all__` and each room's `__all__` name. FOLDER/mkdocs.yml is the repository's with the
navigation: the sections of docs/README.md and the pages they lead to.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import yaml
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[1]
STAGED = ("*.md", "CITATION.cff", "LICENSE", "NOTICE", "docs/**/*", "deploy/**/*", "benchmarks/RESULTS.md")
"""What is copied as it is."""

API, ROOMS = "docs/api.md", "docs/api-rooms.md"


def public(module: ModuleType) -> Iterator[tuple[str, str]]:
    """The classes and functions that a module offers, and where each is defined."""
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            yield name, f"{value.__module__}.{value.__qualname__}"


def rooms() -> list[str]:
    """The packages of Trapline that say what they offer."""
    found = sorted(path.parent.name for path in (ROOT / "src" / "trapline").glob("*/__init__.py"))
    return [name for name in found if hasattr(importlib.import_module(f"trapline.{name}"), "__all__")]


def directives(module: ModuleType, known: set[str]) -> str:
    """A heading and the directives of what a module offers and no module before it did."""
    lines = []
    for name, where in public(module):
        if where.startswith("trapline.") and where not in known:
            known.add(where)
            heading = f"heading: {module.__name__}.{name}"
            lines.append(f"::: {where}\n    options:\n      {heading}\n      heading_level: 3\n")
    summary = (inspect.getdoc(module) or "").partition("\n\n")[0]
    return "\n".join([f"\n## {module.__name__}\n", f"{summary}\n", *lines]) if lines else ""


def interfaces() -> dict[str, str]:
    """What goes on each page of the Python interface: the names that a user imports first, then the rooms."""
    known: set[str] = set()
    first = "".join(directives(importlib.import_module(name), known) for name in ("trapline", "trapline.api"))
    return {
        API: first,
        ROOMS: "".join(directives(importlib.import_module(f"trapline.{name}"), known) for name in rooms()),
    }


def list_files(folder: Path) -> None:
    """A page for a folder that pages link to, as a git host has one."""
    lines = [f"- [{path.name}]({path.name})" for path in sorted(folder.iterdir())]
    (folder / "index.md").write_text("\n".join([f"# {folder.name}\n", *lines, ""]), encoding="utf-8")


def navigation() -> list[dict[str, list[str]]]:
    """The sections of the index, each of which begins with bold words, and the pages they link to, once."""
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8").partition("\n## ")[0]
    _, *parts = re.split(r"^\*\*(.+?)\*\*", index, flags=re.MULTILINE)
    known, sections = {"docs/README.md"}, [{"Trapline": ["README.md", "docs/README.md"]}]
    for title, text in zip(parts[::2], parts[1::2], strict=True):
        linked = re.findall(r"\]\(([^)#:]+\.(?:md|ipynb))\)", text)
        pages = [os.path.normpath(f"docs/{link}").replace(os.sep, "/") for link in linked]
        fresh = [page.replace(".ipynb", ".md") for page in dict.fromkeys(pages) if page not in known]
        known.update(pages)
        sections.append({title: fresh})
    return sections


def stage(folder: Path) -> None:
    """Fill the folder anew."""
    shutil.rmtree(folder, ignore_errors=True)
    for pattern in STAGED:
        for path in filter(Path.is_file, ROOT.glob(pattern)):
            target = folder / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    for notebook in (ROOT / "examples").glob("*.ipynb"):
        page, resources = MarkdownExporter().from_filename(str(notebook))
        target = folder / "examples" / notebook.with_suffix(".md").name
        target.parent.mkdir(exist_ok=True)
        target.write_text(page, encoding="utf-8")
        for name, content in resources["outputs"].items():
            (target.parent / name).write_bytes(content)
    for listed in [folder / "deploy", *(path for path in folder.glob("deploy/**/") if path.is_dir())]:
        list_files(listed)
    more = interfaces()
    for page in folder.rglob("*.md"):
        text = re.sub(r"\]\(((?!\w+:)[^)\s]+)\.ipynb\)", r"](\1.md)", page.read_text(encoding="utf-8"))
        page.write_text(text + more.get(page.relative_to(folder).as_posix(), ""), encoding="utf-8")


def main(folder: Path) -> None:
    """Stage the pages, and the configuration with its navigation beside them."""
    stage(folder / "docs")
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    (folder / "mkdocs.yml").write_text(yaml.safe_dump({**settings, "nav": navigation()}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
