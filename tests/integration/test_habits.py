"""What contributors and public machines are told to run is there, and does what it says."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import trapline

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
CALLERS = [
    ".ci/run",
    ".pre-commit-config.yaml",
    ".github/workflows/ci.yml",
    ".github/PULL_REQUEST_TEMPLATE.md",
]


def run(program: str, *arguments: object, folder: Path = ROOT, status: int = 0) -> str:
    """What one of the environment's programs said; it must end with that status."""
    environment = os.environ | {
        "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
        "UV_PROJECT_ENVIRONMENT": sys.prefix,
        "UV_NO_SYNC": "1",
    }
    done = subprocess.run(
        [PROGRAMS / program, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, f"{program} {arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def recipes() -> set[str]:
    """The commands of the justfile."""
    return set(run("just", "--summary").split())


@pytest.mark.parametrize("file", [*CALLERS, "CONTRIBUTING.md", "README.md", "mkdocs.yml"])
def test_every_command_that_is_named_is_in_the_justfile(file: str, recipes: set[str]) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:uv run(?: -q| --quiet| --no-sync)* |`|exec )just ([a-z-]+)", text))
    assert named <= recipes, named - recipes


def test_the_callers_have_no_check_of_their_own() -> None:
    for file in CALLERS[:3]:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not re.search(r"\b(pytest|mypy|ruff (check|format)|lint-imports)\b", text), file
        assert "just " in text


def test_all_of_the_checks_are_in_ci_and_each_command_is_told(recipes: set[str]) -> None:
    shown = run("just", "--dry-run", "ci")
    for check in (
        "ruff format --check",
        "ruff check",
        "mypy",
        "lint-imports",
        "pytest",
        "zensical build --strict",
    ):
        assert check in shown
    assert "try_wheel.py" in shown
    told = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    missing = {name for name in recipes if f"`just {name}" not in told}
    assert missing <= {"format-check"}  # `just format` is what a person runs


def test_a_commit_in_bad_form_is_stopped_by_the_hook(tmp_path: Path) -> None:
    for name in (".pre-commit-config.yaml", "justfile", "pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "bad.py").write_text("x   =  1\n")
    for words in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    assert "Failed" in run("pre-commit", "run", "format", "--all-files", folder=tmp_path, status=1)
    assert (tmp_path / "bad.py").read_text() == "x = 1\n"
    assert "Passed" in run("pre-commit", "run", "format", "--all-files", folder=tmp_path)


def test_the_versions_are_one() -> None:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert trapline.__version__ == project["version"] == cited["version"]


def test_the_workflow_runs_all_pythons_that_are_promised() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    tried = workflow["jobs"]["everywhere"]["strategy"]["matrix"]["python"]
    low, high = (int(minor) for minor in re.findall(r"3\.(\d+)", project["requires-python"]))
    assert tried == [f"3.{minor}" for minor in range(low, high)]


def test_the_site_leads_to_every_page_and_names_what_is_public(tmp_path: Path) -> None:
    pytest.importorskip("nbconvert", reason="the site is built with the dependency group docs")
    run("python", ROOT / "scripts" / "stage_docs.py", tmp_path)
    settings = yaml.safe_load((tmp_path / "mkdocs.yml").read_text(encoding="utf-8"))
    led = [page for section in settings["nav"] for pages in section.values() for page in pages]
    assert len(led) == len(set(led))
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= set(led)
    assert all((tmp_path / "docs" / page).is_file() for page in led)
    interface = (tmp_path / "docs" / "docs" / "api.md").read_text(encoding="utf-8")
    public = [name for name in trapline.__all__ if callable(getattr(trapline, name))]
    assert [name for name in public if f"heading: trapline.{name}\n" not in interface] == []
