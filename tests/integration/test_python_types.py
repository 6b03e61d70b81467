"""A type checker reads a user's script as it is, and refuses what is wrong in it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"

MISTAKES = {
    'trapline.predikt("x")': 'no attribute "predikt"',
    'trapline.predict(3, catalog, "x.csv")': "incompatible type",
    'model.predict(catalog, "x.csv", levle="event")': 'Unexpected keyword argument "levle"',
    'predictions.pool("evnt")': "incompatible type",
    "trapline.ByLocation(folds=5, ratios=(1, 2))": "No overload variant",
    "trapline.BySeason(seed=3)": 'Unexpected keyword argument "seed"',
    'catalog.train("head", allow_leaks=True)': 'Unexpected keyword argument "allow_leaks"',
    'catalog.tables["x"]': 'no attribute "tables"',
}


@pytest.mark.slow
def test_a_checker_takes_the_readme_and_refuses_mistakes(tmp_path: Path, cache: pytest.Cache) -> None:
    found = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    (tmp_path / "good.py").write_text(found[1], encoding="utf-8")
    (tmp_path / "bad.py").write_text("\n".join([found[1].rstrip(), *MISTAKES]) + "\n", encoding="utf-8")
    kept = cache.mkdir("mypy")  # what it has read of our dependencies is kept between runs
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", kept, "good.py", "bad.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [line for line in run.stdout.splitlines() if ": error:" in line]
    assert all(line.startswith("bad.py") for line in errors), run.stdout
    first = found[1].rstrip().count("\n") + 2
    said = {int(line.split(":")[1]) - first: line for line in errors}
    assert sorted(said) == list(range(len(MISTAKES))), run.stdout
    for number, expected in enumerate(MISTAKES.values()):
        assert expected in said[number]
