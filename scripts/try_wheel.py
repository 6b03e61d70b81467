"""Is what `uv build` made the whole of Trapline, and does it work where this folder is not?

usage: python scripts/try_wheel.py DIST

The wheel must hold every file of src/trapline, its metadata and licences, and nothing else. Then wheel and
sdist are each installed into an empty environment, with the dependencies of uv.lock, in their own folder:
version and help are asked for, and the wheel walks the whole way on a small synthetic world.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
UV = os.environ.get("UV") or shutil.which("uv") or "uv"
METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE"}
SMALL_WORLD = ("--locations", "10", "--events-per-location", "2")


def written() -> set[str]:
    """The files of the package's source, with their paths in a wheel."""
    files = (path for path in (ROOT / "src" / "trapline").rglob("*") if path.is_file())
    return {path.relative_to(ROOT / "src").as_posix() for path in files if "__pycache__" not in path.parts}


def flaws(wheel: Path) -> list[str]:
    """What the wheel holds too much and too little."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    folder = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
    wanted = written() | {f"{folder}/{name}" for name in METADATA}
    missing = [f"missing: {name}" for name in sorted(wanted - names)]
    return missing + [f"too much: {name}" for name in sorted(names - wanted)]


def run(*command: object, folder: Path) -> str:
    """What a command said in a folder, without the variables that lead Python or uv to this checkout."""
    hidden = ("PYTHON", "VIRTUAL_ENV", "UV_PROJECT", "UV_RUN")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    done = subprocess.run(
        [*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nstatus {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def install(package: Path, folder: Path) -> Path:
    """An environment with the package and what it needs; its folder of programs."""
    folder.mkdir()
    made = folder / "environment"
    locked = ("export", "--quiet", "--locked", "--no-dev", "--no-emit-project", "--no-hashes")
    (folder / "locked.txt").write_text(run(UV, *locked, folder=ROOT))
    run(UV, "venv", "--quiet", "--python", sys.executable, made, folder=folder)
    programs = made / ("Scripts" if os.name == "nt" else "bin")
    into = ("--quiet", "--python", programs / "python", "--constraints", "locked.txt")
    run(UV, "pip", "install", *into, package, folder=folder)
    return programs


def use(package: Path, folder: Path) -> None:
    """The package says its version and its help from where it was installed to."""
    programs = install(package, folder)
    where = "import trapline, sys; print(trapline.__version__, trapline.__file__)"
    version, file = run(programs / "python", "-c", where, folder=folder).split(maxsplit=1)
    if not Path(file.strip()).is_relative_to(folder.resolve()) or version not in package.name:
        sys.exit(f"{package.name} imports as {version} from {file}")
    if "Usage: trapline" not in run(programs / "trapline", "--help", folder=folder):
        sys.exit(f"{package.name}: trapline --help does not say how it is used")
    if package.suffix == ".whl":
        run(programs / "trapline", "quickstart", "world", "--no-open", *SMALL_WORLD, folder=folder)
    print(f"{package.name} works where its source is not")


def main(dist: Path) -> None:
    """Look through the wheel, then use both."""
    [wheel], [sdist] = dist.glob("*.whl"), dist.glob("*.tar.gz")
    if found := flaws(wheel):
        sys.exit("\n".join([wheel.name, *found]))
    with tempfile.TemporaryDirectory() as temporary:
        for name, package in (("wheel", wheel), ("sdist", sdist)):
            use(package.resolve(), Path(temporary) / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
