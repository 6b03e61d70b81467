"""What `lint-imports` does not see: a room keeps its inside to itself, and its face shows what it names."""

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import trapline

SOURCE = Path(trapline.__file__).parent
WALKED = list(pkgutil.walk_packages([str(SOURCE)], "trapline."))
ROOMS = {"trapline", *(module.name for module in WALKED if module.ispkg)}
MODULES = {"trapline", *(module.name for module in WALKED)}


def path_of(name: str) -> Path:
    path = SOURCE.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if name in ROOMS else path.with_suffix(".py")


def is_inside(target: str, importer: str) -> bool:
    """Whether `target` is a module inside a room in which `importer` is not."""
    around = importer.split(".") if importer in ROOMS else importer.split(".")[:-1]
    parts = target.split(".")
    shared = 0
    while shared < min(len(around), len(parts)) and around[shared] == parts[shared]:
        shared += 1
    return target in MODULES - ROOMS and len(parts) - shared > 1


def imports_of(name: str) -> Iterator[tuple[int, str]]:
    """Line and module of every import in a module."""
    for node in ast.walk(ast.parse(path_of(name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                shown = (
                    getattr(importlib.import_module(node.module), alias.name, None)
                    if whole in MODULES
                    else ""
                )
                if shown is None or getattr(shown, "__name__", "") == whole:  # not a name that the face shows
                    yield node.lineno, whole


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_room_imports_the_inside_of_another(name: str) -> None:
    strangers = [f"line {line}: {target}" for line, target in imports_of(name) if is_inside(target, name)]
    assert not strangers, f"{name} reaches into another room; import from its face"


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_shows_all_that_it_names(room: str) -> None:
    face = importlib.import_module(room)
    assert [name for name in getattr(face, "__all__", ()) if not hasattr(face, name)] == []


def test_the_stub_of_plugins_names_what_it_shows() -> None:
    import trapline.plugins

    stub = ast.parse(SOURCE.joinpath("plugins.pyi").read_text(encoding="utf-8"))
    nodes = [alias for node in stub.body for alias in getattr(node, "names", ()) if alias.asname]
    assigned = [target.id for node in stub.body for target in getattr(node, "targets", ())]
    assert sorted([*(node.asname for node in nodes), *assigned]) == sorted(trapline.plugins.__all__)
    assert all(hasattr(trapline.plugins, name) for name in trapline.plugins.__all__)
