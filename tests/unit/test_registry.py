"""The registry that all kinds share: names, guests by entry points, and what is refused."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from trapline.errors import TraplineWarning, UsageError
from trapline.options import Option, check_options, options_of
from trapline.registry import Registry


class Guests:
    """Packages with entry points, as an installer leaves them, on the import path."""

    def __init__(self, site: Path) -> None:
        self.site = site

    def install(self, name: str, group: str, points: Mapping[str, str], code: str) -> None:
        module = name.replace("-", "_")
        (self.site / f"{module}.py").write_text(code)
        info = self.site / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"{point} = {value}" for point, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))


@pytest.fixture
def guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guests]:
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield Guests(tmp_path)
    for name in set(sys.modules) - before:
        if name.startswith("guest"):
            del sys.modules[name]


@pytest.fixture
def tools() -> Iterator[Registry[Callable[[], str]]]:
    """A registry with two entries; guests find it in this module."""
    registry: Registry[Callable[[], str]] = Registry("tool", "test.tools", besides="magic/<any>")
    for name in ("spade", "big-fork"):
        registry.add(name, lambda name=name: name, Guests)
    sys.modules["the_tools"] = type(sys)("the_tools")
    sys.modules["the_tools"].TOOLS = registry  # type: ignore[attr-defined]
    yield registry
    del sys.modules["the_tools"]


CODE = """
from the_tools import TOOLS
def rake() -> str:
    return "rake"
TOOLS.add("{name}", rake, rake)
"""


def test_a_guest_is_asked_for_only_when_a_name_is_not_ours(guests: Guests, tools: Any) -> None:
    guests.install("guest-rake", "test.tools", {"any": "guest_rake"}, CODE.format(name="rake"))
    assert tools["spade"]() == "spade"
    assert "guest_rake" not in sys.modules
    assert tools.find("rake")() == "rake"
    assert list(tools) == ["spade", "big-fork", "rake"]
    assert (tools.package("rake"), tools.package("spade")) == ("guest_rake", "test_registry")


def test_names_are_spelt_with_either_dash(tools: Any) -> None:
    assert tools.find("big_fork") is tools.find("big-fork")


def test_an_unknown_name_is_answered_with_the_near_one_and_all_others(tools: Any) -> None:
    with pytest.raises(UsageError, match=r"no tool 'spads'; did you mean 'spade'\? .*big-fork, magic/<any>"):
        tools.find("spads")
    with pytest.raises(KeyError):
        tools["spads"]


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def plain(): ...", "registers no tool"),
        (CODE.format(name="spade"), "'spade' already, of the package test_registry; guest_bad cannot"),
        (CODE.format(name="big_fork"), "'big-fork' already"),
        (CODE.format(name="a b"), "'a b' is no name for a tool"),
    ],
)
def test_a_broken_guest_is_named_with_its_cause_and_ours_keep_working(
    code: str, cause: str, guests: Guests, tools: Any
) -> None:
    guests.install("guest-bad", "test.tools", {"broken": "guest_bad"}, code)
    with pytest.warns(TraplineWarning, match="guest-bad") as told:
        assert list(tools) == ["spade", "big-fork"]
    assert cause in str(told[0].message)
    assert "'broken = guest_bad' (test.tools)" in str(told[0].message)
    assert tools.find("spade")() == "spade"
    with pytest.raises(UsageError, match="guest-bad"):
        tools.find("rake")


def test_what_a_module_registered_before_it_failed_is_left_out_with_it(guests: Guests, tools: Any) -> None:
    guests.install("guest-half", "test.tools", {"a": "guest_half"}, CODE.format(name="rake") + "1 / 0")
    with pytest.warns(TraplineWarning, match="ZeroDivisionError"):
        assert list(tools) == ["spade", "big-fork"]


def test_one_broken_guest_does_not_keep_another_away(guests: Guests, tools: Any) -> None:
    guests.install("guest-bad", "test.tools", {"a": "guest_bad"}, "1 / 0")
    guests.install("guest-good", "test.tools", {"b": "guest_good:rake"}, CODE.format(name="rake"))
    with pytest.warns(TraplineWarning, match="guest-bad"):
        assert "rake" in tools


def test_a_function_may_take_its_own_place_only(tools: Any) -> None:
    tools.add("own", Guests, Guests)
    tools.add("own", Guests, Guests)
    assert list(tools).count("own") == 1

    def other() -> str:
        return ""

    with pytest.raises(UsageError, match="already"):
        tools.add("own", other, other)


# --- options


def typed(
    source: Path,
    *,
    separator: str = ",",
    level: int | None = None,
    share: Annotated[float, "Between 0 and 1."] = 0.5,
    root: Path | str | None = None,
    exif: bool = False,
    words: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    mode: Literal["link", "copy"] = "link",
) -> None:
    """Read.

    Args:
        source: a folder.
        separator: what stands between
            two cells: one sign.
        mode: link or copy.

    Returns:
        nothing: at all.
    """


def test_options_are_the_signature_with_what_the_docstring_says() -> None:
    found = {option.name: option for option in options_of(typed, "reader 'typed'", "source")}
    assert {name: option.form for name, option in found.items()} == {
        "separator": "text",
        "level": "integer",
        "share": "number",
        "root": "path",
        "exif": "switch",
        "words": "list",
        "columns": "mapping",
        "mode": "text",
    }
    said = "what stands between two cells: one sign."
    assert found["separator"] == Option("separator", "text", ",", said)
    assert found["share"].help == "Between 0 and 1."
    assert found["mode"].choices == ("link", "copy")


def no_default(source: Path, *, root: str) -> None: ...
def two_positional(source: Path, root: str = "") -> None: ...
def nothing_positional(*, root: str = "") -> None: ...
def anything(source: Path, **options: str) -> None: ...
def untyped(source: Path, *, root=None) -> None: ...  # type: ignore[no-untyped-def]
def odd(source: Path, *, root: set[str] | None = None) -> None: ...
def either(source: Path, *, root: int | str = 1) -> None: ...
def numbers(source: Path, *, root: Literal[1, 2] = 1) -> None: ...
def unknown(source: Path, *, root: "Nowhere" = None) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def taken(source: Path, *, timezone: str = "") -> None: ...


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (no_default, "'root' of the reader 'x' has no default"),
        (two_positional, r"expected is def two_positional\(source, \*, option: type = default"),
        (nothing_positional, "expected is"),
        (anything, "expected is"),
        (untyped, "type None; an option is str, int"),
        (odd, r"has the type set\[str\]"),
        (either, "has the type"),
        (numbers, "has the type"),
        (unknown, "cannot be looked up.*Nowhere"),
        (taken, "'timezone', which means another thing"),
    ],
)
def test_another_signature_is_refused_with_what_is_expected(function: Any, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        options_of(function, "reader 'x'", "source", taken=("timezone",))


def test_what_is_given_must_be_an_option_and_one_of_its_choices() -> None:
    options = options_of(typed, "reader 'typed'", "source")
    check_options({"mode": "copy", "level": None}, options, "The reader 'typed'")
    with pytest.raises(UsageError, match=r"no option 'mod'; it has: .*Did you mean 'mode'"):
        check_options({"mod": "copy"}, options, "The reader 'typed'")
    with pytest.raises(UsageError, match="takes for 'mode' link or copy, not 'move'"):
        check_options({"mode": "move"}, options, "The reader 'typed'")
    with pytest.raises(UsageError, match=r"'a' has no option 'mode'; it has none.*belongs to typed"):
        check_options({"mode": "copy"}, (), "The reader 'a'", {"a": (), "typed": options})
