"""The glossary of docs/words.md is kept in the names of classes, functions and values."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import trapline

SOURCE = Path(trapline.__file__).parent

FORBIDDEN = {
    "place": "an index, a line, an offset, a slot, a target, or a location",
    "places": "indices, lines, offsets, slots, targets, or locations",
    "found": "the name of what was found",
    "said": "an observation, or the name of what is said",
}


ON_DISK = {("LabelResult", "said"), ("Mistake", "said")}
"""Fields that are keys of evaluation.json."""


MODULES = {
    path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text("utf-8"))
    for path in sorted(SOURCE.rglob("*.py"))
}


def names_bound(node: ast.AST, owner: str = "") -> Iterator[tuple[str, str]]:
    """Every name that is bound in the tree, with the class in whose body it stands."""
    for child in ast.iter_child_nodes(node):
        inside = owner
        if isinstance(child, ast.ClassDef):
            yield owner, child.name
            inside = child.name
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield owner, child.name
            inside = ""
        elif isinstance(child, ast.arg):
            yield "", child.arg
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield owner, child.id
        yield from names_bound(child, inside)


def test_no_two_classes_have_one_name() -> None:
    where = defaultdict(list)
    for module, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                where[node.name].append(module)
    assert {name: modules for name, modules in where.items() if len(modules) > 1} == {}


@pytest.mark.parametrize("module", MODULES)
def test_no_name_is_a_word_that_means_too_much(module: str) -> None:
    wrong = {
        f"{owner}.{name}".lstrip("."): f"call it {FORBIDDEN[name.strip('_')]}"
        for owner, name in names_bound(MODULES[module])
        if name.strip("_") in FORBIDDEN and (owner, name) not in ON_DISK
    }
    assert wrong == {}


def test_what_the_page_of_words_names_is_there() -> None:
    page = (Path(__file__).parents[2] / "docs" / "words.md").read_text("utf-8")
    named = re.findall(r"`trapline\.([a-z_.]*)\.([A-Z]\w*)`", page)
    assert named
    for module, name in named:
        assert hasattr(__import__(f"trapline.{module}", fromlist=[name]), name)
