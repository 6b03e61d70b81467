"""Change the code where honesty lives, one small change at a time, and see which changes the tests notice.

    python scripts/mutation.py [NAME…] [--children N]    all mutants that are not yet tried, or those named
    python scripts/mutation.py --score                   only print what is known

mutmut makes and tries the mutants (`[tool.mutmut]` of pyproject.toml says of which files and with which
tests; results stay in the folder `mutants`, so that a run that is stopped goes on where it stopped). This
adds the rooms, the score, and the list of survivors that change nothing (`scripts/equivalent_mutants.toml`).
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from difflib import ndiff
from functools import cache
from pathlib import Path

HERE = Path(__file__).parents[1]
ROOMS = {
    "metrics": ("metrics/*.py",),
    "calibration": ("metrics/calibration.py", "models/calibrated.py", "models/graph_probabilities.py"),
    "promises": ("metrics/promise.py", "models/doubts.py"),
    "pooling": ("*/pooling.py", "*/frames.py", "*/location_answers.py"),
    "roll-up": ("taxonomy/rollup.py", "taxonomy/sums.py"),
    "leaks": ("catalog/leaks.py", "catalog/identity.py"),
    "folds": ("catalog/split*.py", "catalog/groups.py", "catalog/grouping.py"),
    "matching": ("evaluation/matching.py",),
    "journal": ("*/journal.py",),
}
"""Room → its files; a file that fits several belongs to the last."""

NOTICED, ENDLESS, SURVIVED, UNTESTED, UNTRIED = "noticed", "timed out", "survived", "no test", "not tried"
OUTCOMES = {0: SURVIVED, 5: UNTESTED, 33: UNTESTED, 1: NOTICED, 3: NOTICED, 37: NOTICED} | dict.fromkeys(
    (36, 24, 152, -24, 255), ENDLESS
)
"""mutmut's exit codes. Any other, of a run that was interrupted or crashed, tells nothing of the tests."""


def main() -> int:
    """Run and print; status 1 if less than 90 in 100 are noticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", help="mutants, with * for any text: 'trapline.metrics.promise.*'")
    parser.add_argument("--children", type=int, default=os.cpu_count(), help="mutants tried at once")
    parser.add_argument("--score", action="store_true", help="try none")
    parser.add_argument("--again", action="store_true", help="try those once more that nothing noticed")
    asked = parser.parse_args()
    os.chdir(HERE)
    names = asked.names or (survivors() if asked.again else [])
    if not asked.score:
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "OMP_NUM_THREADS": "1",
            "POLARS_MAX_THREADS": "1",
        }
        command = [sys.executable, "-m", "mutmut", "run", *names, "--max-children", str(asked.children)]
        subprocess.run(command, env=environment, check=True)
    return 0 if report() >= 0.9 else 1


def outcomes() -> dict[str, tuple[Path, str]]:
    """Of each mutant its file and what became of it."""
    found = {}
    for path in sorted(Path("mutants/src").rglob("*.meta")):
        for name, code in json.loads(path.read_text())["exit_code_by_key"].items():
            found[name] = path.with_suffix(""), OUTCOMES.get(code, UNTRIED)
    return found


def survivors() -> list[str]:
    """The mutants that no test noticed."""
    return [name for name, (_, outcome) in outcomes().items() if outcome in (SURVIVED, UNTESTED)]


def report() -> float:
    """Print the score of each room and every survivor; the share noticed, equivalent ones left out."""
    rooms: dict[str, Counter[str]] = {room: Counter() for room in ROOMS}
    known = tomllib.loads(Path("scripts/equivalent_mutants.toml").read_text(encoding="utf-8"))
    for name, (path, outcome) in outcomes().items():
        room = [room for room, patterns in ROOMS.items() if any(path.match(p) for p in patterns)][-1]
        if outcome in (SURVIVED, UNTESTED):
            change = _change(path, name)
            outcome = "equivalent" if _is_equivalent(change, known) else outcome
            if outcome != "equivalent":
                print(outcome, name, *change[1:], sep="\n    ")
        rooms[room][outcome] += 1
    total = sum(rooms.values(), Counter())
    shown = (NOTICED, ENDLESS, "equivalent", SURVIVED, UNTRIED)
    print(f"| room | mutants | {' | '.join(shown)} | score | equivalent ones counted |")
    print("| --- " * (len(shown) + 4) + "|")
    for room, counts in {**rooms, "all": total}.items():
        counts[SURVIVED] += counts.pop(UNTESTED, 0)
        numbers = " | ".join(str(counts[one]) for one in shown)
        print(
            f"| {room} | {counts.total()} | {numbers} | {_score(counts):.1%} | {_score(counts, True):.1%} |"
        )
    return _score(total)


def _score(counts: Counter[str], with_equivalent: bool = False) -> float:
    """The share noticed of those tried; who waits for a change that never ends notices it."""
    noticed = counts[NOTICED] + counts[ENDLESS]
    tried = noticed + counts[SURVIVED] + with_equivalent * counts["equivalent"]
    return noticed / tried if tried else 1.0


def _is_equivalent(change: tuple[str, str, str], known: dict[str, list[dict[str, str]]]) -> bool:
    """Whether the change is on the list: itself, or as one of a kind (only what `match` finds differs)."""
    function, before, after = change
    if any((one["function"], one["line"], one["becomes"]) == change for one in known["mutant"]):
        return True
    return any(
        re.sub(kind["match"], "", before) == re.sub(kind["match"], "", after)
        and re.search(kind.get("function", ""), function) is not None
        for kind in known["kind"]
    )


@cache
def _functions(path: Path) -> dict[str, str]:
    """The text of each function of a file, its own name left out."""
    source = path.read_text()
    lines = source.splitlines()
    return {
        node.name: "\n".join(lines[node.lineno - 1 : node.end_lineno]).replace(node.name, "f")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    }


def _change(path: Path, name: str) -> tuple[str, str, str]:
    """The function of a mutant, and its line (or lines) before and after the change."""
    own = name.rpartition(".")[2]
    texts = _functions(path)
    original = texts[own.rpartition("__mutmut_")[0] + "__mutmut_orig"]
    lines = list(ndiff(original.splitlines(), texts[own].splitlines()))
    before, after = (" ".join(line[2:].strip() for line in lines if line[0] == sign) for sign in "-+")
    return name.rpartition("__mutmut_")[0], before, after


if __name__ == "__main__":
    sys.exit(main())
