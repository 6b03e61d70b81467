"""A short run of the fuzzer: mutated files are read or refused with a reason, never anything else."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"
CASES = 8


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = module
    spec.loader.exec_module(module)
    return module


fuzz = load_script()


@pytest.mark.parametrize("name", list(fuzz.TARGETS))
def test_mutated_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    target = fuzz.TARGETS[name]
    if not target.runs():
        pytest.skip(f"needs {target.needs}")
    seeds = fuzz.seeds_of(target, tmp_path / "seed")  # whole files are read without complaint
    for seed in range(CASES if target.needs is None else 1):  # a program is slow to start
        assert fuzz.case(target, seed, seeds, tmp_path / "case") in ("ok", "refused"), f"seed {seed}"


def test_the_fuzzer_sees_what_is_wrong(tmp_path: Path) -> None:
    def fragile(folder: Path) -> None:
        int((folder / "number.csv").read_text().split(",")[1])

    target = fuzz.Target(fuzz.one("number.csv", "a,1,b\n"), fragile)
    seeds = fuzz.seeds_of(target, tmp_path / "seed")

    def forty() -> None:
        for seed in range(40):
            fuzz.case(target, seed, seeds, tmp_path / "case")

    with pytest.raises((ValueError, IndexError)):
        forty()
