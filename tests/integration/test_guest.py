"""The package of examples/trapline-guest, installed: used by command and from Python, and a broken one."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from trapline.synthetic import make_world

pytest.importorskip("torch")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
GUEST = ROOT / "examples" / "trapline-guest"
TINY = ["--set", "epochs=2", "--set", "preprocessing={height: 32, width: 32}"]
Run = Callable[..., subprocess.CompletedProcess[str]]

BUILD = "import sys, setuptools.build_meta as backend; print(backend.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages that has the guest, from its wheel."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("guest")
    shutil.copytree(GUEST, folder / "source")
    build = [sys.executable, "-c", BUILD, str(folder)]
    subprocess.run(build, cwd=folder / "source", check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


@pytest.fixture
def run(site: Path, tmp_path: Path) -> Run:
    """Run Python with the guest installed, in a folder of the test's."""

    def started(*arguments: object, more: Path | None = None) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(str(folder) for folder in (more, site) if folder is not None)
        environment = os.environ | {"PYTHONPATH": path, "TRAPLINE_CACHE": str(tmp_path / "cache")}
        command = [sys.executable, "-m", *map(str, arguments)]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return started


def test_the_guests_own_tests_pass(run: Run) -> None:
    done = run("pytest", "-q", "-p", "no:cacheprovider", GUEST / "tests")
    assert done.returncode == 0, done.stdout


def test_the_contract_of_readers_is_asked_of_the_guests_too(run: Run) -> None:
    done = run(
        "pytest", "-q", "-p", "no:cacheprovider", ROOT / "tests/unit/formats/test_readers.py", "-k", "record"
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A record table of a synthetic world's photos, with stations in a column of another name."""
    make_world(tmp_path / "world", locations=6, events_per_location=3, size=(160, 120))
    lines = ["Camera,Species,DateTimeOriginal,Directory,FileName"]
    photos = sorted((tmp_path / "world").rglob("*.JPG"))
    for index, photo in enumerate(photos):
        where = photo.relative_to(tmp_path).parent.as_posix()
        time = f"2020-01-01 {index // 60:02}:{index % 60:02}:00"
        lines.append(f"S{index % 6},{['fox', 'hare'][index // 6 % 2]},{time},{where},{photo.name}")
    (tmp_path / "records.csv").write_text("\n".join([*lines, ""]))
    return tmp_path / "records.csv"


def test_all_five_are_used_by_command(run: Run, table: Path, tmp_path: Path) -> None:
    def ok(*arguments: object) -> str:
        done = run("trapline", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "--station-column" in ok("catalog", "--help")
    assert "record-table: it has camtrapR's columns" in ok(
        "catalog", table, "--station-column", "Camera", "-o", "c.parquet"
    )
    ok("split", "c.parquet", "-o", "s.parquet")
    ok("train", "s.parquet", "--recipe", "guest-tiny", *TINY, "-o", "run")
    history = (tmp_path / "run" / "history.csv").read_text()
    assert "validation_cohens_kappa" in history.splitlines()[0]
    ok("predict", "run/model.onnx", "s.parquet", "-o", "p.parquet")
    measured = json.loads(ok("evaluate", "s.parquet", "p.parquet", "--json"))
    assert "cohens_kappa" in measured["metrics"]
    ok("write", "p.parquet", "c.parquet", "--format", "record-table", "--least", "0", "-o", "out.csv")
    records = (tmp_path / "out.csv").read_text().splitlines()
    assert records[0] == "Station,Species,DateTimeOriginal,Directory,FileName"
    assert len(records) == len(table.read_text().splitlines())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["catalog", "records.csv", "--format", "csv", "--station-column", "Camera"],
            "belongs to record-table",
        ),
        (["catalog", "records.csv", "--format", "record-tabel"], "did you mean 'record-table'"),
        (["train", "x.parquet", "-r", "guest-tyni"], "did you mean 'guest-tiny'"),
        (["train", "x.parquet", "-r", "small-cnn", "--set", "backbone=guest-net"], "guest-tiny-net"),
        (["train", "x.parquet", "-r", "guest-tiny", "--set", "selection=kapa"], "cohens_kappa"),
        (["train", "x.parquet", "-r", "guest-tiny", "--set", "task=multi-label"], "no cohens_kappa"),
        (["catalog", "records.csv"], "has no column 'Station'"),
    ],
)
def test_what_is_wrong_with_a_guests_option_is_said_as_of_ours(
    arguments: list[str], complaint: str, run: Run, table: Path
) -> None:
    done = run("trapline", *arguments)
    assert done.returncode == (1 if "no column" in complaint else 2)
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_they_are_used_from_python(run: Run, table: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import trapline\n"
        "from trapline.metrics import measure\n"
        "from trapline.recipes import resolve_recipe\n"
        "asked = {'station_column': 'Camera'}\n"
        "catalog = trapline.read('records.csv', format='record-table', options=asked)\n"
        "assert catalog.table['location_id'].n_unique() == 6\n"
        "assert resolve_recipe('guest-tiny').backbone == 'guest-tiny-net'\n"
        "assert measure([0, 1], [[1, 0], [0, 1]])['cohens_kappa'] == 1\n"
    )
    done = run("script")
    assert done.returncode == 0, done.stderr


def test_a_broken_guest_is_told_of_and_ours_work(run: Run, table: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    info = bad / "bad_guest-2.0.dist-info"
    info.mkdir(parents=True)
    (bad / "bad_guest.py").write_text("import package_that_is_not_there\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-guest\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[trapline.readers]\nbad = bad_guest\n")
    done = run(
        "trapline",
        "catalog",
        table,
        "--column",
        "path=FileName",
        "--column",
        "time=",
        "--format",
        "csv",
        "--check",
        "none",
        more=bad,
    )
    assert done.returncode == 0, done.stderr
    assert "bad = bad_guest" in done.stderr
    assert "package_that_is_not_there" in done.stderr
    quiet = run("trapline", "--help", more=bad)
    assert (quiet.returncode, quiet.stderr) == (0, "")


def test_the_page_on_extending_shows_the_guests_own_code() -> None:
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    code = "\n".join(path.read_text(encoding="utf-8") for path in sorted(GUEST.rglob("*.py")))
    code += (GUEST / "pyproject.toml").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:python|toml)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 5
    assert [block for block in blocks if block not in code] == []
