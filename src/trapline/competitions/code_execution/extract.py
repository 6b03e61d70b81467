"""The part of Trapline that some functions need, as source files that import nothing else of it.

A competition's container has no Trapline, and preprocessing written a second time would not stay the same. So
the definitions themselves are copied, each with the definitions it uses, wherever they stand.
"""

from __future__ import annotations

import ast
import importlib.util
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from trapline.errors import TraplineError

HOUSE = "trapline"
PACKED = "trapline_packed"
"""The package that the copies form; not called `trapline`, so that no installed one is taken for it."""


@dataclass(frozen=True)
class _Module:
    """A module of the house.

    Attributes:
        name: with dots.
        lines: of its source.
        definitions: name -> the statement that defines it.
        imports: name -> (module, name there, or None for the module itself).
        always: statements that define nothing and run when the module is imported.
    """

    name: str
    lines: tuple[str, ...]
    definitions: dict[str, ast.stmt]
    imports: dict[str, tuple[str, str | None]]
    always: tuple[ast.stmt, ...]


@dataclass
class _Needed:
    """What is taken of a module: statements, and imports as (module, name there, name here)."""

    statements: set[ast.stmt] = field(default_factory=set)
    imports: set[tuple[str, str | None, str]] = field(default_factory=set)


def extract(module: str) -> dict[str, str]:
    """The whole of a module and, of the others, all that it uses: path of a file -> its text.

    Paths begin with the folder `PACKED`. Annotations do not count as use.

    Raises:
        TraplineError: a definition uses something that cannot be copied; it is named.
    """
    needed: dict[str, _Needed] = defaultdict(_Needed)
    waiting = [(module, name) for name in _module(module).definitions]
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        if wanted not in seen:
            seen.add(wanted)
            waiting += _take(*wanted, needed)
    texts = {f"{_path(name)}.py": _text(_module(name), needed[name]) for name in needed}
    folders = {parent for path in texts for parent in Path(path).parents if parent != Path()}
    return {f"{folder.as_posix()}/__init__.py": "" for folder in folders} | texts


def _take(name: str, definition: str, needed: dict[str, _Needed]) -> list[tuple[str, str]]:
    """Mark one definition of a module as needed; what it uses of the house."""
    module, taken = _module(name), needed[name]
    uses: list[tuple[str, str]] = []
    for statement in (module.definitions[definition], *module.always):
        if statement in taken.statements:
            continue
        taken.statements.add(statement)
        for used in sorted(_names(statement)):
            if used in module.definitions:
                uses.append((name, used))
            elif used in module.imports:
                source, there = module.imports[used]
                if source.split(".")[0] == HOUSE:
                    source, there = _origin(source, there)
                    uses.append((source, there))
                taken.imports.add((source, there, used))
    return uses


def _origin(module: str, name: str | None) -> tuple[str, str]:
    """Where what is imported is defined."""
    while name is not None:
        spec = _module(module)
        if name in spec.definitions:
            return module, name
        if name not in spec.imports:
            break
        module, name = spec.imports[name]
    raise TraplineError(f"{module}.{name} is no definition that can be packed.")


def _names(statement: ast.stmt) -> set[str]:
    """The names that a statement uses when it runs."""
    names: set[str] = set()
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name):
            names.add(node.id)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == HOUSE:
            raise TraplineError(f"Line {node.lineno} imports {node.module} inside a function that is packed.")
        skipped = ["annotation"] if isinstance(node, ast.arg | ast.AnnAssign) else []
        skipped += ["returns"] if isinstance(node, ast.FunctionDef) else []
        for part, value in ast.iter_fields(node):
            children = value if isinstance(value, list) else [value]
            waiting += [child for child in children if isinstance(child, ast.AST) and part not in skipped]
    return names


@cache
def _module(name: str) -> _Module:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise TraplineError(f"The source of {name} is not there, so nothing can be packed.")
    face = Path(spec.origin).with_suffix(".pyi")  # of a room whose names are imported when first used
    source = (face if face.is_file() else Path(spec.origin)).read_text(encoding="utf-8")
    definitions: dict[str, ast.stmt] = {}
    imports: dict[str, tuple[str, str | None]] = {}
    always: list[ast.stmt] = []
    for statement in ast.parse(source).body:
        defined = _defined(statement)
        if defined:
            definitions |= dict.fromkeys(defined, statement)
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                imports[alias.asname or alias.name.split(".")[0]] = (alias.name, None)
        elif isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                home = f"{name}.{statement.module}" if statement.level else str(statement.module)
                imports[alias.asname or alias.name] = (home, alias.name)
        elif not (_is_text(statement) or _is_for_types(statement)):
            always.append(statement)
    return _Module(name, tuple(source.splitlines()), definitions, imports, tuple(always))


def _defined(statement: ast.stmt) -> list[str]:
    """The names that a statement at the top of a module defines."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_for_types(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"


def _text(module: _Module, needed: _Needed) -> str:
    """A module with what is needed of it, in its order."""
    lines = [
        f'"""Copied from {module.name} of Trapline (Apache-2.0)."""',
        "",
        "from __future__ import annotations",
        "",
    ]
    lines += sorted(_import_line(*imported) for imported in needed.imports)
    for statement in sorted(needed.statements, key=lambda statement: statement.lineno):
        decorators = getattr(statement, "decorator_list", [])
        first = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
        lines += ["", *module.lines[first - 1 : statement.end_lineno]]
    return "\n".join(lines) + "\n"


def _import_line(module: str, there: str | None, here: str) -> str:
    source = module.replace(HOUSE, PACKED, 1) if module.split(".")[0] == HOUSE else module
    if there is None:
        return f"import {source}" if here == source.split(".")[0] else f"import {source} as {here}"
    return f"from {source} import {there}" + ("" if there == here else f" as {here}")


def _path(module: str) -> str:
    name = module.replace(HOUSE, PACKED, 1).replace(".", "/")
    spec = importlib.util.find_spec(module)
    is_folder = spec is not None and spec.submodule_search_locations is not None
    return f"{name}/__init__" if is_folder else name
