"""`import trapline` and `trapline --help` reach nothing heavy, which is what keeps them quick."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "numpy",
    "polars",
    "torch",
    "sklearn",
    "scipy",
    "onnx",
    "onnxruntime",
    "matplotlib",
    "PIL",
    "rich",
}


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import trapline", HEAVY),
        ("from trapline.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass", HEAVY),
        ("from trapline.cli import main\ntry: main(['models', 'list'])\nexcept SystemExit: pass", HEAVY),
        ("import trapline.serving.answers", HEAVY - {"numpy", "PIL"}),
    ],
)
def test_nothing_heavy_is_imported_at_the_start(statement: str, heavy: set[str]) -> None:
    report = "\nimport sys, json\nprint(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    run = subprocess.run(
        [sys.executable, "-c", statement + report], capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(run.stdout.splitlines()[-1]))
    assert not loaded & heavy


@pytest.mark.parametrize("command", ["catalog", "write"])
def test_the_help_of_formats_reads_stored_options_which_are_those_of_the_functions(command: str) -> None:
    from trapline.cli._format_options import STORED, dump

    assert STORED.read_text(encoding="utf-8") == dump(), "run scripts/store_format_options.py"
    statement = f"from trapline.cli import main\ntry: main(['{command}', '--help'])\nexcept SystemExit: pass"
    test_nothing_heavy_is_imported_at_the_start(statement, HEAVY)


def test_every_public_name_can_be_had_from_the_package() -> None:
    import trapline

    for name in trapline.__all__:
        assert getattr(trapline, name) is not None


@pytest.mark.parametrize(
    ("arguments", "status"), [(["--version"], 0), (["nonsense"], 2), (["show", "no.onnx"], 1)]
)
def test_the_exit_status_says_what_happened(arguments: list[str], status: int) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "trapline", *arguments], capture_output=True, text=True, check=False
    )
    assert run.returncode == status
    assert "Traceback" not in run.stderr


ENDS_AT_ONCE = """
import atexit, sys
from trapline.cli import main

class Kept:
    def __del__(self):
        print("freed")

sys.modules["torch"] = kept = Kept()
atexit.register(print, "said at the end")
sys.argv = ["trapline", *{arguments}]
main()
"""


@pytest.mark.parametrize(("arguments", "status"), [(["--version"], 0), (["show", "no.onnx"], 1)])
def test_where_pytorch_is_loaded_a_command_ends_without_freeing_and_loses_nothing(
    arguments: list[str], status: int
) -> None:
    code = ENDS_AT_ONCE.format(arguments=arguments)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == status
    assert run.stdout.splitlines()[-1] == "said at the end"
    assert run.stdout.startswith("trapline ") or "no.onnx" in run.stderr
