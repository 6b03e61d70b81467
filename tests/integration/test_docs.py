"""Every command and all Python shown in the README and in docs/ is run, in order, as a reader would.

Pages begin alike (read, split, train, predict). What several pages begin with is run once, and each goes on
from a copy of the folder that it left. The world is small, and the few lines in `SMALLER` ask for less than
their page does.
"""

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from trapline.cli import build_app, main
from trapline.errors import TraplineWarning
from trapline.recipes import recipe_names
from trapline.synthetic import make_world

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

SMALLER = {
    "trapline quickstart my-world --data-only": "--locations 3 --events-per-location 2",
    "trapline train labelled.parquet": "--set preprocessing.height=94 --set preprocessing.width=94",
}
"""The beginning of a line: options that its test adds. They change how much is done, never what."""


SMALLER_PYTHON = {
    '{"epochs": 20}': '{"epochs": 1, "preprocessing.height": 96, "preprocessing.width": 96}',
    "folds=5": "folds=2",
}
"""The same for Python: what is written, and what the test writes in its place."""

FEW_LOCATIONS = {"detect": 3}
"""Pages that look at every photo again and again: of so many locations of the world alone."""

CLI: Any = typer.main.get_command(build_app())

PYTHON_NOT_RUN = {
    "code-execution": "its check needs bubblewrap; tests/integration/test_code_execution.py calls it",
    "extending": "parts of an installed package, which tests/integration/test_guest.py uses",
}


def pieces_of_python(page: Path) -> list[str]:
    """The page's ```python blocks."""
    found = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [] if page.stem in PYTHON_NOT_RUN else found


def commands(page: Path) -> list[str]:
    """The `$ …` lines of the page's ```console blocks, continuation lines joined."""
    blocks = re.findall(r"^```console\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line[2:].strip() for line in lines if line.startswith("$ ")]


COMMANDS = {page: commands(page) for page in PAGES}


class Desk:
    """A place where lines are run in folders; what they left is kept where several pages go on from there."""

    def __init__(self, home: Path) -> None:
        self.home = home
        begun = [tuple(lines[:end]) for lines in COMMANDS.values() for end in range(1, len(lines))]
        self.shared = {lines for lines, pages in Counter(begun).items() if pages > 1}
        self.left: dict[tuple[str, ...], Path] = {(): home / "start"}
        world = home / "start" / "world"
        make_world(world, locations=12, events_per_location=4, size=(320, 240))

    def run_with_few_photos(self, lines: list[str], folder: Path, locations: int) -> None:
        """Run the lines in a new folder, with the photos of the world's first locations."""
        shutil.copytree(self.left[()], folder)
        for location in sorted((folder / "world" / "photos").iterdir())[locations:]:
            shutil.rmtree(location)
        for line in lines:
            self._run_line(line, folder)

    def run(self, lines: list[str], folder: Path) -> None:
        """Run the lines in a new folder, from where a page that began alike left off."""
        known = next(end for end in range(len(lines), -1, -1) if tuple(lines[:end]) in self.left)
        shutil.copytree(self.left[tuple(lines[:known])], folder)
        for end in range(known + 1, len(lines) + 1):
            self._run_line(lines[end - 1], folder)
            if tuple(lines[:end]) in self.shared:
                kept = self.home / f"after-{len(self.left)}"
                self.left[tuple(lines[:end])] = shutil.copytree(folder, kept)

    def _run_line(self, line: str, folder: Path) -> None:
        more = [options for begin, options in SMALLER.items() if line.startswith(begin)]
        line = " ".join([line, *more])
        status, said = self._in_process(line, folder) if plain(line) else self._in_a_shell(line, folder)
        assert status == 0, f"{line}\n{said[-4000:]}"

    def _in_process(self, line: str, folder: Path) -> tuple[int, str]:
        said = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(said):
            patch.chdir(folder)
            patch.setenv("TRAPLINE_CACHE", str(self.home / "cache"))
            with pytest.raises(SystemExit) as left:
                main(shlex.split(line)[1:])
        return int(left.value.code or 0), said.getvalue()

    def _in_a_shell(self, line: str, folder: Path) -> tuple[int, str]:
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "TRAPLINE_CACHE": str(self.home / "cache"),
        }
        done = subprocess.run(
            line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def run_python(self, pieces: list[str], folder: Path) -> None:
        """Run the pieces one after the other, each with what those before it named."""
        names: dict[str, object] = {}
        with (
            pytest.MonkeyPatch.context() as patch,
            redirect_stdout(io.StringIO()),
            warnings.catch_warnings(action="ignore", category=TraplineWarning),
        ):
            patch.chdir(folder)
            patch.setenv("TRAPLINE_CACHE", str(self.home / "cache"))
            for piece in pieces:
                for written, smaller in SMALLER_PYTHON.items():
                    piece = piece.replace(written, smaller)
                exec(compile(piece, "a page", "exec"), names)


def headings(page: Path) -> set[str]:
    """The names by which GitHub links to the page's headings."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def plain(line: str) -> bool:
    """Whether a line is one call of Trapline and leaves nothing to the shell but quotes."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    return line.startswith("trapline ") and not any(set(word) <= set("();<>|&") for word in words)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("docs"))


@pytest.mark.slow
@pytest.mark.timeout(420)
@pytest.mark.parametrize("page", [page for page in PAGES if COMMANDS[page]], ids=lambda page: page.stem)
def test_the_commands_of_a_page_run(page: Path, desk: Desk, tmp_path: Path) -> None:
    if page.stem in FEW_LOCATIONS:
        desk.run_with_few_photos(COMMANDS[page], tmp_path / "page", FEW_LOCATIONS[page.stem])
    else:
        desk.run(COMMANDS[page], tmp_path / "page")
    desk.run_python(pieces_of_python(page), tmp_path / "page")


def test_every_page_with_python_is_run_or_says_why_not() -> None:
    with_python = {page.stem for page in PAGES if "```python" in page.read_text(encoding="utf-8")}
    run = {page.stem for page in PAGES if COMMANDS[page] and pieces_of_python(page)}
    assert with_python == run | set(PYTHON_NOT_RUN)


def test_the_index_leads_to_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    missing = [page.name for page in PAGES if page.name != "README.md" and f"({page.name}" not in index]
    assert missing == []


def test_what_the_tests_ask_less_of_stands_on_a_page() -> None:
    lines = [line for page in COMMANDS.values() for line in page]
    for begin in SMALLER:
        assert any(line.startswith(begin) for line in lines), f"no page has a line '{begin} …'"
    pieces = "".join(piece for page in PAGES for piece in pieces_of_python(page))
    for written in SMALLER_PYTHON:
        assert written in pieces, f"no page has Python with '{written}'"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target, place in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            leads_to = page.parent / target if target else page
            assert leads_to.exists(), f"{page.name} links to {target}"
            assert not place or place in headings(leads_to), f"{page.name} links to {target}#{place}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_names_and_does_not_run_is_there(page: Path) -> None:
    """Commands with their options and recipes, tests and benchmarks in the text and its ```sh blocks."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    for line in [*re.findall(r"`([^`\n]+)`", text), *lines]:
        words = re.sub(r"[|;&#<>].*", "", line).split()
        if words[:1] == ["trapline"] and len(words) > 1:
            wrong = unknown_words(words[1], words[2:])
            assert not wrong, f"{page.name}: {wrong} in '{line}'"
        for path in re.findall(r"(?<![\w/.])(?:benchmarks|tests|deploy)/[\w./-]+", line):
            assert (ROOT / path).exists(), f"{page.name}: no {path}"


def unknown_words(name: str, words: list[str]) -> list[str]:
    """The options and recipes among a command's words that there are not; or its name, if that is none."""
    if name.startswith("-"):
        return []
    if name not in CLI.commands:
        return [name]
    command = CLI.commands[name]
    if isinstance(command, typer.core.TyperGroup) and words:
        name, *words = words
        if name not in command.commands:
            return [name]
        command = command.commands[name]
    parameters = command.params
    options = {option for each in parameters for option in (*each.opts, *each.secondary_opts)}
    recipes = {word for before, word in pairwise(words) if before in ("-r", "--recipe") and word.islower()}
    known = {*recipe_names(), *(word for word in recipes if word.startswith("timm/"))}
    asked = [word.split("=")[0] for word in words if re.match("--?[a-z]", word)]
    return sorted({*asked} - options - {"-h", "--help"}) + sorted(recipes - known)
