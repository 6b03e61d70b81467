"""Submissions of code: what is packed gives Trapline's own numbers, and a trial of it cannot be fooled."""

import ast
import contextlib
import csv
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trapline
from trapline.cli import main as cli
from trapline.competitions import check_submission, write_submission
from trapline.competitions.code_execution import Outcome, build_package, check_package, runner
from trapline.competitions.code_execution.extract import PACKED, extract
from trapline.competitions.code_execution.limits import Meter
from trapline.competitions.code_execution.sandbox import missing_for_sandbox
from trapline.errors import DataError, UsageError
from trapline.formats import read
from trapline.models import EventPooling, ModelFile
from trapline.models.graph_events import see_background
from trapline.models.onnx_graph import Layer, attach_head, read_graph, write_model_file
from trapline.prediction import predict

LABELS = ("blank", "hare", "lynx")
COLUMNS = ("lynx", "empty", "hare")
sandboxed = pytest.mark.skipif(
    missing_for_sandbox() is not None, reason=f"no sandbox here: {missing_for_sandbox()}"
)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The organisers' folder: 11 sequences of 1 to 3 photos, one photo broken, one sequence with no other."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("organisers")
    photos = folder / "photos_S05_v1" / "S5" / "A1" / "A1_R1"
    photos.mkdir(parents=True)
    random, rows = np.random.default_rng(0), []
    for place in range(11):
        for frame in range(1 + place % 3):
            name = f"S5/A1/A1_R1/IMAG{place:02}{frame:02}.JPG"
            path = photos / Path(name).name
            colours = random.integers(0, 255, (2, 2, 3), dtype=np.uint8)
            Image.fromarray(colours).resize((60, 45), Image.Resampling.NEAREST).save(path, "JPEG")
            rows.append(f"X_S5#A1#1#{place},{name},2016-01-01 00:{place:02}:{frame:02}")
    (photos / "IMAG0000.JPG").write_bytes(b"no photo")  # the only one of its sequence
    (photos / "IMAG0501.JPG").write_bytes((photos / "IMAG0501.JPG").read_bytes()[:30])
    (folder / "test_metadata.csv").write_text("\n".join(["seq_id,file_name,datetime", *rows]) + "\n")
    ids = [f"X_S5#A1#1#{place}" for place in reversed(range(11))]
    lines = [",".join(("seq_id", *COLUMNS)), *(f"{name},0.0,0.0,0.0" for name in ids)]
    (folder / "submission_format.csv").write_text("\n".join(lines) + "\n")
    (folder / "truth.csv").write_text("seq_id,hare\n")
    return folder


@pytest.fixture(scope="module")
def models(
    tmp_path_factory: pytest.TempPathFactory, write_tiny_model: Callable[..., Path]
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    calibration = {"method": "temperature", "temperature": 1.5}
    event = EventPooling.model_validate(
        {"method": "mean", "by_label": {"blank": "noisy-or"}, "calibration": calibration}
    )
    plain = write_tiny_model(folder / "plain.onnx", LABELS, task="multi-label")
    head = Layer(np.random.default_rng(0).normal(0, 3, (24, len(LABELS))), np.zeros(len(LABELS)))
    seeing = attach_head(see_background(read_graph(plain)), [head])
    card = ModelFile(plain).card.model_copy(update={"batch": "event", "embedding_size": 24})
    return {
        "background": write_model_file(seeing, card, folder / "background.onnx"),
        "multi": write_tiny_model(folder / "multi.onnx", LABELS, task="multi-label", event=event),
        "single": write_tiny_model(folder / "single.onnx", LABELS, seed=1),
        "whole": write_tiny_model(folder / "whole.onnx", LABELS, task="multi-label", batch="event"),
    }


def unpacked(package: Path, data: Path, folder: Path) -> Path:
    """A folder as the organisers make it, without their care."""
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder)
    (folder / "data").symlink_to(data)
    return folder


def run_main(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "main.py"], cwd=folder, capture_output=True, text=True, check=False
    )


def numbers(path: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    with path.open() as file:
        return np.array([row[1:] for row in list(csv.reader(file))[1:]], float)


@pytest.mark.parametrize("name", ["multi", "single", "whole", "background"])
def test_the_packed_runner_answers_as_predict_does(
    name: str, models: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    wanted = data / "submission_format.csv"
    catalog = read(data, part="test")
    predictions = predict(ModelFile(models[name]), catalog, tmp_path / "events.csv", level="event")
    write_submission(predictions, wanted, tmp_path / "ours.csv", fill="prior", clip=0.01)
    built = build_package(models[name], tmp_path / "s.zip", format_path=wanted, clip=0.01)
    folder = unpacked(built.path, data, tmp_path / "run")
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    theirs = folder / "submission.csv"
    assert check_submission(theirs, wanted, task=predictions.task) == []
    assert np.abs(numbers(theirs) - numbers(tmp_path / "ours.csv")).max() < 1e-6
    assert "IMAG0000.JPG is left out" in done.stdout
    assert "1 sequence is of no photo that was read" in done.stdout


def test_the_first_frame_is_packed_and_predicted_alike_wherever_its_row_is(
    write_tiny_model: Callable[..., Path], data: Path, tmp_path: Path
) -> None:
    first = EventPooling(method="first")
    model = write_tiny_model(tmp_path / "first.onnx", LABELS, task="multi-label", event=first)
    built = build_package(model, tmp_path / "s.zip")
    header, *rows = (data / "test_metadata.csv").read_text().splitlines()
    answers = {}
    for name, lines in (("as shot", rows), ("the other way", rows[::-1])):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(data / "submission_format.csv", folder)
        (folder / "photos_S05_v1").symlink_to(data / "photos_S05_v1")
        (folder / "test_metadata.csv").write_text("\n".join([header, *lines]) + "\n")
        catalog = read(folder, part="test")
        predictions = predict(ModelFile(model), catalog, folder / "events.csv", level="event")
        write_submission(predictions, folder / "submission_format.csv", folder / "ours.csv", fill="uniform")
        run = unpacked(built.path, folder, tmp_path / f"{name} run")
        assert run_main(run).returncode == 0
        answers[name] = numbers(folder / "ours.csv"), numbers(run / "submission.csv")
    good = np.array([place for place in range(11) if place != 10])  # the last has no readable photo
    ours, theirs = answers["as shot"]
    assert np.abs(ours - theirs)[good].max() < 1e-6
    for found in answers["the other way"]:
        assert np.abs(ours - found)[good].max() < 1e-6


def test_the_packed_code_needs_nothing_but_onnx_runtime_pillow_and_numpy() -> None:
    allowed = {"numpy", "PIL", "onnxruntime", PACKED, *sys.stdlib_module_names}
    for path, text in extract("trapline.competitions.code_execution.runner").items():
        for node in ast.parse(text).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [getattr(node, "module", None) or alias.name for alias in node.names]
                assert {name.split(".")[0] for name in names} <= allowed, f"{path}: {names}"


def test_a_model_of_an_older_version_is_packed_with_what_has_come_since(
    models: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    import onnx

    model = onnx.load(models["multi"])
    card = json.loads(model.metadata_props[0].value)
    for name in ("interpolation", "mask_top", "crop"):
        del card["preprocessing"][name]
    del card["batch"]
    onnx.helper.set_model_props(model, {"trapline_card": json.dumps(card)})
    onnx.save(model, tmp_path / "old.onnx")
    answers = []
    for path in (models["multi"], tmp_path / "old.onnx"):
        built = build_package(path, tmp_path / f"{path.stem}.zip")
        folder = unpacked(built.path, data, tmp_path / path.stem)
        assert run_main(folder).returncode == 0
        answers.append((folder / "submission.csv").read_bytes())
    assert answers[0] == answers[1]


def test_a_run_that_can_read_nothing_fails(models: dict[str, Path], data: Path, tmp_path: Path) -> None:
    built = build_package(models["multi"], tmp_path / "s.zip")
    lost = tmp_path / "without photos"
    lost.mkdir()
    for name in ("test_metadata.csv", "submission_format.csv"):
        shutil.copy(data / name, lost)
    done = run_main(unpacked(built.path, lost, tmp_path / "run"))
    assert done.returncode == 1
    assert "Not one of 21 photos could be read" in done.stderr
    assert not (tmp_path / "run" / "submission.csv").exists()


@pytest.mark.parametrize("name", ["multi", "whole"])
def test_a_run_that_has_no_time_for_any_photo_fails(
    name: str, models: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    folder = unpacked(build_package(models[name], tmp_path / "s.zip", hours=1e-9).path, data, tmp_path / "r")
    done = run_main(folder)
    assert done.returncode == 1
    assert "Time was up before the first of 21 photos was looked at" in done.stderr
    assert not (folder / "submission.csv").exists()


def test_a_run_without_photos_of_the_wanted_sequences_fails(
    models: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(data / "test_metadata.csv", other)
    (other / "submission_format.csv").write_text("seq_id,lynx,empty,hare\nnone,0,0,0\n")
    done = run_main(unpacked(build_package(models["multi"], tmp_path / "s.zip").path, other, tmp_path / "r"))
    assert done.returncode == 1
    assert "has no photo of the sequences" in done.stderr


@pytest.mark.parametrize(("name", "photos"), [("multi", 80), ("whole", 120)])
def test_time_that_runs_out_costs_later_photos_and_no_sequence(
    name: str,
    photos: int,
    models: dict[str, Path],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    organisers = tmp_path / "organisers"
    (organisers / "S5").mkdir(parents=True)
    shutil.copy(data / "photos_S05_v1" / "S5" / "A1" / "A1_R1" / "IMAG0100.JPG", organisers / "S5")
    rows = [f"{place},S5/IMAG0100.JPG,2016-01-01 00:00:00" for place in range(40) for _ in range(5)]
    (organisers / "test_metadata.csv").write_text("\n".join(["seq_id,file_name,datetime", *rows]))
    lines = [",".join(("seq_id", *COLUMNS)), *(f"{place},0,0,0" for place in range(40))]
    (organisers / "submission_format.csv").write_text("\n".join(lines))
    seconds = photos * 10
    built = build_package(models[name], tmp_path / "s.zip", hours=seconds / 3600 / 0.95)
    folder = unpacked(built.path, organisers, tmp_path / "run")
    clock = Clock()
    monkeypatch.setattr(runner, "time", clock)
    monkeypatch.setattr(runner, "prepare", clock.slowly(runner.prepare, 10))
    runner.main(folder)
    said = capsys.readouterr().out
    assert "Time was short" in said
    assert "no photo was read" not in said, said
    assert check_submission(folder / "submission.csv", organisers / "submission_format.csv") == []


class Clock:
    """Time that passes only where something is done slowly; stands for the module `time`."""

    def __init__(self) -> None:
        self.now, self.lock, self.strftime = 0.0, threading.Lock(), time.strftime

    def monotonic(self) -> float:
        return self.now

    def slowly(self, what: Callable[..., Any], seconds: float) -> Callable[..., Any]:
        def done(*arguments: Any) -> Any:
            with self.lock:
                self.now += seconds
            return what(*arguments)

        return done


def test_the_same_model_gives_the_same_zip(models: dict[str, Path], tmp_path: Path) -> None:
    first = build_package(models["multi"], tmp_path / "1.zip").path.read_bytes()
    assert build_package(models["multi"], tmp_path / "2.zip").path.read_bytes() == first


def test_labels_that_do_not_fit_are_found_before_the_upload(
    models: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    wanted = tmp_path / "format.csv"
    wanted.write_text("seq_id,lynx,empty\na,0,0\n")
    with pytest.raises(DataError, match="does not want: hare"):
        build_package(models["multi"], tmp_path / "s.zip", format_path=wanted)
    wanted.write_text("seq_id,lynx,empty,hare,wolf\na,0,0,0,0\n")
    with pytest.raises(DataError, match=r"does not know: wolf.*--absent"):
        build_package(models["multi"], tmp_path / "s.zip", format_path=wanted)
    built = build_package(models["multi"], tmp_path / "s.zip", format_path=wanted, absent=0.002)
    assert built.absent_labels == ("wolf",)
    with pytest.raises(UsageError, match="--hours above 0"):
        build_package(models["multi"], tmp_path / "s.zip", hours=0)


# --- the trial

COPY = "import shutil; shutil.copyfile('data/submission_format.csv', 'submission.csv')\n"
REWRITE = "lines = open('data/submission_format.csv').read().splitlines()\n"
SAVE = "open('submission.csv', 'w').write('\\n'.join(lines) + '\\n')\n"
ASK = """
import urllib.request
try:
    urllib.request.urlopen('http://192.0.2.1/weights', timeout=2)
except OSError:
    pass
"""
LOOK_UP = """
import socket
try:
    socket.getaddrinfo('weights.example', 80)
except OSError:
    pass
"""
BROKEN: dict[str, tuple[str, Outcome, str]] = {
    "crash": (
        "raise RuntimeError('no such layer')",
        Outcome.crashed,
        "status 1: RuntimeError: no such layer",
    ),
    "killed": ("import os; os.kill(os.getpid(), 11)", Outcome.crashed, "signal 11"),
    "no CSV": ("print('done')", Outcome.no_csv, "wrote no submission.csv"),
    "network": (ASK + COPY, Outcome.network, "tried to use the network"),
    "name looked up": (LOOK_UP + COPY, Outcome.network, "tried to use the network"),
    "wrong order": (
        REWRITE + "lines[1:3] = lines[2:0:-1]\n" + SAVE,
        Outcome.wrong_rows,
        "another order from line 2",
    ),
    "row lost": (REWRITE + "del lines[5]\n" + SAVE, Outcome.wrong_rows, "missing: X_S5#A1#1#6"),
    "NaN": (
        REWRITE + "lines[3] = lines[3].replace('0.0', 'nan', 1)\n" + SAVE,
        Outcome.wrong_numbers,
        "1 row has NaN or infinity: line 4",
    ),
    "no number": (
        REWRITE + "lines[3] = lines[3].replace('0.0', '0_1', 1)\n" + SAVE,
        Outcome.wrong_numbers,
        "no number: line 4",
    ),
    "empty line": (
        REWRITE + "lines.insert(3, '')\n" + SAVE,
        Outcome.wrong_rows,
        "1 row is empty: line 4",
    ),
    "range": (
        REWRITE + "lines[3] = lines[3].replace('0.0', '1.5', 1)\n" + SAVE,
        Outcome.wrong_numbers,
        "0 to 1",
    ),
    "columns": (
        REWRITE + "lines[0] = 'seq_id,lynx,hare,empty'\n" + SAVE,
        Outcome.wrong_columns,
        "another order",
    ),
    "memory": (
        "data = bytearray(300_000_000)\nimport time; time.sleep(9)",
        Outcome.out_of_memory,
        "too much memory",
    ),
}


def zipped(path: Path, main: str, **files: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {"main.py": main, **files}.items():
            archive.writestr(name, text)
    return path


def tried(package: Path, data: Path, seconds: float = 60) -> Any:
    return check_package(package, data, time_limit_s=seconds, memory_limit=200 * 2**20)


@sandboxed
@pytest.mark.parametrize("name", BROKEN)
def test_broken_submissions_fail_each_in_its_own_way(name: str, data: Path, tmp_path: Path) -> None:
    main, outcome, message = BROKEN[name]
    found = tried(zipped(tmp_path / "s.zip", main), data)
    assert (found.outcome, message in found.message) == (outcome, True), found


@sandboxed
def test_a_timeout_kills_all_that_was_started(data: Path, tmp_path: Path) -> None:
    marker = f"trapline-{os.getpid()}"
    child = f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600) # {marker}"
    start = f"subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True)"
    main = f"import subprocess, sys, time\n{start}\n"
    stuck = tried(zipped(tmp_path / "stuck.zip", main + "time.sleep(600)"), data, seconds=1)
    assert stuck.outcome is Outcome.timed_out
    left_behind = tried(zipped(tmp_path / "left.zip", main + COPY), data)
    assert left_behind.outcome is Outcome.passed
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [command for command in commands if marker.encode() in command and b"-c" in command]


@sandboxed
def test_a_csv_that_does_not_fit_is_kept_to_look_at(data: Path, tmp_path: Path) -> None:
    package = zipped(tmp_path / "s.zip", REWRITE + "del lines[5]\n" + SAVE)
    found = check_package(package, data, time_limit_s=60, output=tmp_path / "kept" / "it.csv")
    assert found.outcome is Outcome.wrong_rows
    assert len((tmp_path / "kept" / "it.csv").read_text().splitlines()) == 11


@sandboxed
def test_a_csv_that_came_in_the_zip_is_no_answer(data: Path, tmp_path: Path) -> None:
    old = {"submission.csv": (data / "submission_format.csv").read_text()}
    package = zipped(tmp_path / "s.zip", "print('done')", **old)
    assert check_package(package, data, output=tmp_path / "it.csv").outcome is Outcome.stale_csv
    assert not (tmp_path / "it.csv").exists()
    touched = zipped(tmp_path / "touched.zip", "import os; os.utime('submission.csv')", **old)
    assert tried(touched, data).outcome is Outcome.stale_csv
    other = {"submission.csv": old["submission.csv"].replace("0.0", "0.5")}
    assert tried(zipped(tmp_path / "t.zip", COPY, **other), data).outcome is Outcome.passed


def in_a_way(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "in a user namespace":  # what everybody but root gets
        monkeypatch.setattr("os.geteuid", lambda: 1000)


WAYS = pytest.mark.parametrize("way", ["as it is", "in a user namespace"])


@sandboxed
@WAYS
def test_nothing_of_this_machine_has_a_path_but_programs_and_the_work(
    way: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_way(way, monkeypatch)
    model = tmp_path / "model.onnx"
    model.touch()
    hidden = [
        data / "truth.csv",
        data,
        model,
        Path(__file__),
        Path(trapline.__file__),
        Path.home(),
        Path("/etc/shadow"),
        Path("/var"),
    ]
    main = f"""
import os, sys
for path in {[str(path) for path in hidden]}:
    if os.path.exists(path) and not sys.prefix.startswith(path) and not sys.base_prefix.startswith(path):
        raise SystemExit(f'{{path}} is there')
assert os.getcwd() == '/codeexecution' and os.listdir('/tmp') is not None
import ctypes, ssl, sqlite3, multiprocessing  # what lies in the system's libraries
multiprocessing.Lock()
open('/dev/null', 'w').write('x'), open('/dev/urandom', 'rb').read(1), open('/tmp/x', 'w').write('x')
for folder in ('/', '/usr', sys.prefix, sys.base_prefix):
    try:
        open(folder + '/new', 'w')
    except OSError:
        continue
    raise SystemExit(f'{{folder}} was written to')
"""
    found = tried(zipped(tmp_path / "s.zip", main + COPY), data)
    assert found.outcome is Outcome.passed, found


@sandboxed
@WAYS
def test_any_python_runs_it_and_one_with_trapline_is_told(
    way: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_way(way, monkeypatch)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "real" / "venv"], check=True)
    (tmp_path / "link").symlink_to("real", target_is_directory=True)
    main = "import importlib.util; assert importlib.util.find_spec('trapline') is None\n"
    bare = check_package(
        zipped(tmp_path / "s.zip", main + COPY), data, python=tmp_path / "link" / "venv" / "bin" / "python"
    )
    assert (bare.outcome, bare.notes) == (Outcome.passed, ()), bare
    house = tmp_path / "real" / "venv" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    (house / "site-packages" / "trapline.py").touch()
    ours = check_package(
        zipped(tmp_path / "t.zip", COPY), data, python=tmp_path / "link" / "venv" / "bin" / "python"
    )
    assert ours.outcome is Outcome.passed
    assert "has Trapline installed" in ours.notes[0]


@sandboxed
@WAYS
def test_the_run_sees_only_the_organisers_data_and_changes_none_of_it(
    way: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_way(way, monkeypatch)
    main = """
import os, pathlib
assert sorted(os.listdir('data')) == ['photos_S05_v1', 'submission_format.csv', 'test_metadata.csv']
assert os.environ.get('PYTHONPATH') is None and 'SECRET' not in os.environ
for name in ('data/new', 'data/test_metadata.csv', 'data/photos_S05_v1/new', 'data/photos_S05_v1/S5/new'):
    try:
        pathlib.Path(name).write_text('x')
    except OSError:
        continue
    raise SystemExit(f'{name} was written')
assert len([name for name in os.listdir('/proc') if name.isdigit()]) <= 3
status = pathlib.Path('/proc/self/status').read_text()
assert 'CapEff:\\t0000000000000000' in status, status
for name in ('/proc/1/fd/1', '/proc/1/mem'):  # through which the status might be forged
    try:
        open(name, 'r+b')
    except OSError:
        continue
    raise SystemExit(f'{name} was opened')
"""
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    monkeypatch.setenv("SECRET", "x")
    found = tried(zipped(tmp_path / "s.zip", main + COPY), data)
    assert found.outcome is Outcome.passed, found
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before


MIB = "import mmap, os, time\nMIB, held = bytes(2**20), []\n"
HELD: dict[str, tuple[str, Outcome, str]] = {
    "a mapping that is shared": (
        "held = mmap.mmap(-1, 300 * 2**20)\nfor at in range(0, len(held), 4096): held[at] = 1\ntime.sleep(9)",
        Outcome.out_of_memory,
        "used too much memory",
    ),
    "mappings that a child filled": (
        """
for _ in range(20):
    held.append(mmap.mmap(-1, 30 * 2**20))
    if not os.fork():
        for at in range(0, len(held[-1]), 4096): held[-1][at] = 1
        os._exit(0)
    os.wait()
time.sleep(9)
""",
        Outcome.out_of_memory,
        "used too much memory",
    ),
    "a memfd": (
        "file = os.memfd_create('x')\nfor _ in range(300): os.write(file, MIB)\ntime.sleep(9)",
        Outcome.out_of_memory,
        "used too much memory",
    ),
    "memfds of which a page is mapped": (
        """
for _ in range(20):
    file = os.memfd_create('x')
    held.append(mmap.mmap(file, os.write(file, MIB * 30)))
    os.close(file)
time.sleep(9)
""",
        Outcome.out_of_memory,
        "used too much memory",
    ),
    "shared memory in a file": (
        "file = open('/dev/shm/x', 'wb')\nfor _ in range(300): file.write(MIB)\ntime.sleep(9)",
        Outcome.out_of_memory,
        "used too much memory",
    ),
    "a large file": (
        "file = open('large', 'wb')\nfor _ in range(150): file.write(MIB)",
        Outcome.out_of_disk,
        "wrote too much to disk",
    ),
    "a hollow file": (
        COPY + "open('submission.csv', 'ab').truncate(6 * 2**30)",
        Outcome.out_of_disk,
        "wrote too large a file",
    ),
    "many files": (
        "for at in range(30): open(f'{at}', 'wb').write(os.urandom(2**20) * 10)\ntime.sleep(9)",
        Outcome.out_of_disk,
        "wrote too much to disk",
    ),
    "files that were deleted": (
        """
for at in range(30):
    held.append(open('/tmp/x', 'wb', 0))
    held[-1].write(os.urandom(2**20) * 10)
    os.unlink('/tmp/x')
time.sleep(9)
""",
        Outcome.out_of_disk,
        "wrote too much to disk",
    ),
    "folders without end": (
        "for _ in range(3000): os.mkdir('d'); os.chdir('d')\nos.chdir('/codeexecution')\n" + COPY,
        Outcome.passed,
        "fits the format",
    ),
    "folders that nobody may read": (
        COPY + "os.makedirs('a/b/c'); os.chmod('a/b', 0); os.chmod('a', 0)",
        Outcome.passed,
        "fits the format",
    ),
    "rows without end": (
        REWRITE + "open('submission.csv', 'w').write('\\n'.join(lines * 100_000))",
        Outcome.wrong_rows,
        "There are more than 1022 rows, and the format has 11",
    ),
    "a line without end": (
        COPY + "open('submission.csv', 'ab').truncate(90 * 2**20)",
        Outcome.wrong_columns,
        "submission.csv cannot be read as CSV: line 13 has more than 1048576 characters, or no end",
    ),
    "a pipe": ("os.mkfifo('submission.csv')", Outcome.no_csv, "is no file"),
    "a link": ("os.symlink('/dev/zero', 'submission.csv')", Outcome.no_csv, "is no file"),
    "a socket": (
        "import socket; socket.socket(socket.AF_UNIX).bind('submission.csv')",
        Outcome.no_csv,
        "is no file",
    ),
    "a folder": ("os.mkdir('submission.csv')", Outcome.no_csv, "is no file"),
    "what steers a terminal": (
        "raise SystemExit('\\x1b]0;x\\x07')",
        Outcome.crashed,
        "status 1: \ufffd]0;x\ufffd",
    ),
}


@sandboxed
@WAYS
@pytest.mark.parametrize("name", HELD)
def test_hostile_submissions_are_held_within_the_limits(
    name: str, way: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_way(way, monkeypatch)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    main, outcome, message = HELD[name]
    package = zipped(tmp_path / "s.zip", MIB + main)
    found = check_package(
        package,
        data,
        time_limit_s=60,
        memory_limit=200 * 2**20,
        disk_limit=100 * 2**20,
        output=tmp_path / "kept.csv",
    )
    assert (found.outcome, message in found.message) == (outcome, True), found
    assert len(found.message) < 2000
    assert {path.name for path in tmp_path.iterdir()} <= {"s.zip", "kept.csv"}, "nothing is left behind"
    if (tmp_path / "kept.csv").exists():
        assert (tmp_path / "kept.csv").stat().st_size < 2**21


@sandboxed
def test_what_no_count_can_see_shows_in_what_the_machine_has_left(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter([(2**34, 2**34, 10**6)])
    monkeypatch.setattr(Meter, "_left", lambda _: next(left, (2**20, 2**34, 10**6)))
    found = tried(zipped(tmp_path / "s.zip", "import time; time.sleep(60)"), data)
    assert found.outcome is Outcome.out_of_memory
    assert "left this machine 1 MiB of memory" in found.message


@sandboxed
def test_pages_that_forks_share_are_counted_once(data: Path, tmp_path: Path) -> None:
    main = "import os, time\nheld = b'x' * 120 * 2**20\n"
    main += "for _ in range(3):\n    if not os.fork(): time.sleep(1); os._exit(0)\n"
    main += "for _ in range(3): os.wait()\n"
    found = tried(zipped(tmp_path / "s.zip", main + COPY), data)
    assert found.outcome is Outcome.passed, found
    assert 120 * 2**20 < found.peak_bytes < 200 * 2**20


CALLS = """
import ctypes, errno, os, resource, socket
libc = ctypes.CDLL(None, use_errno=True)
for family in set(range(64)) - {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6}:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
        try:
            socket.socket(family, kind)
        except OSError as error:
            assert error.errno == errno.EAFNOSUPPORT, (family, kind, error)
            continue
        raise SystemExit(f'a socket of family {family} was made')
spaces = (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
asked = [('unshare', lambda space=space: libc.unshare(space)) for space in spaces]
asked += [('setns', lambda: libc.setns(os.open('/proc/self/ns/net', os.O_RDONLY), 0))]
asked += [('io_uring_setup', lambda: libc.syscall(425, 8, ctypes.create_string_buffer(120)))]
asked += [('clone3', lambda: libc.syscall(435, 0, 0))]
asked += [('ptrace', lambda: libc.ptrace(16, os.getppid(), 0, 0))]
asked += [('mount', lambda: libc.mount(None, b'/codeexecution/data', None, 0x1020, None))]
asked += [('umount2', lambda: libc.umount2(b'/codeexecution/data', 2))]
asked += [('shmget', lambda: libc.shmget(0, 4096, 0o1600))]
for name, call in asked:
    assert call() == -1, name
    assert ctypes.get_errno() in (errno.EPERM, errno.ENOSYS), (name, ctypes.get_errno())
assert open('/proc/self/status').read().split('Seccomp:')[1].split()[0] == '2'
shared = os.statvfs('/dev/shm')
assert shared.f_blocks * shared.f_frsize <= 200 * 2**20
for folder in ('/', '/dev', '/codeexecution/data', '/sys/kernel'):
    assert os.statvfs(folder).f_flag & os.ST_RDONLY, folder
assert resource.getrlimit(resource.RLIMIT_NPROC)[1] <= 4096
"""


@sandboxed
@WAYS
def test_what_leads_out_of_a_sandbox_is_refused_when_it_is_asked_for(
    way: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_way(way, monkeypatch)
    found = tried(zipped(tmp_path / "s.zip", CALLS + COPY), data)
    assert found.outcome is Outcome.passed, found


@sandboxed
def test_a_program_of_many_processes_works(data: Path, tmp_path: Path) -> None:
    main = """
import multiprocessing, subprocess, sys, threading
if __name__ == '__main__':
    for method in ('fork', 'spawn', 'forkserver'):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(abs, [-1, -2]) == [1, 2]
    with multiprocessing.Manager() as manager:
        assert dict(manager.dict(a=1)) == {'a': 1}
    assert subprocess.check_output([sys.executable, '-c', 'print(1)']) == b'1\\n'
"""
    package = zipped(tmp_path / "s.zip", main + "    " + COPY)
    found = check_package(package, data, time_limit_s=60, memory_limit=2**30)
    assert found.outcome is Outcome.passed, found


@sandboxed
def test_a_sandbox_ends_with_the_program_that_made_it(data: Path, tmp_path: Path) -> None:
    marker = f"trapline-end-{os.getpid()}"
    package = zipped(
        tmp_path / "s.zip", f"import subprocess, time; subprocess.run(['sh', '-c', 'sleep 600; : {marker}'])"
    )
    command = [sys.executable, "-m", "trapline", "submit", "--check", str(package), str(data)]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    check = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert soon(lambda: running(f"sleep 600; : {marker}")), "it never ran"
    finally:
        check.kill()
        check.wait()
    assert soon(lambda: not running(f"sleep 600; : {marker}"))


def running(words: str) -> bool:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes())
    return any(words.encode() in command and b"-c" in command for command in found)


def soon(what: Callable[[], bool]) -> bool:
    """Whether it comes true within half a minute."""
    for _ in range(300):
        if what():
            return True
        time.sleep(0.1)
    return False


@sandboxed
def test_without_bubblewrap_nothing_is_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    which = shutil.which
    monkeypatch.setattr(
        "shutil.which", lambda name, path=None: None if name == "bwrap" else which(name, path=path)
    )
    with pytest.raises(UsageError, match="programs bwrap are needed: install bubblewrap"):
        check_package(zipped(tmp_path / "s.zip", COPY), data)


@sandboxed
def test_parts_of_a_program_may_talk_to_each_other(data: Path, tmp_path: Path) -> None:
    talk = "import socket\nserver = socket.create_server(('127.0.0.1', 0))\n"
    talk += "socket.create_connection(server.getsockname(), timeout=5)\nserver.accept()\n"
    assert tried(zipped(tmp_path / "s.zip", talk + COPY), data).outcome is Outcome.passed


@sandboxed
def test_a_packaged_model_passes_and_the_status_says_what_failed(
    models: dict[str, Path], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package, wanted = tmp_path / "s.zip", data / "submission_format.csv"
    assert status("submit", "--package", package, models["multi"], wanted) == 0
    kept = tmp_path / "kept.csv"
    assert status("submit", "--check", package, data, "-o", kept) == 0
    assert "passed: submission.csv fits the format" in capsys.readouterr().out
    assert check_submission(kept, wanted) == []
    assert status("submit", "--check", package, data, "-o", kept) == 2, "nothing is overwritten unasked"
    assert status("submit", "--check", zipped(tmp_path / "bad.zip", "pass"), data) == 15
    assert "no csv: main.py ended with status 0" in capsys.readouterr().err
    assert status("submit", "--check", package, tmp_path) == 1
    assert status("submit", "--check", package, "--package", package, data) == 2


def status(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        cli([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def test_zips_that_are_not_what_they_should_be_are_refused_unrun(data: Path, tmp_path: Path) -> None:
    def refused(path: Path) -> str:
        found = tried(path, data)
        assert found.outcome is Outcome.bad_zip
        return str(found.message)

    (tmp_path / "no.zip").write_text("no zip")
    assert "cannot be read as a zip" in refused(tmp_path / "no.zip")
    assert "a path outside the folder" in refused(zipped(tmp_path / "slip.zip", "", **{"../x.py": "x"}))
    assert "folder data" in refused(zipped(tmp_path / "data.zip", "", **{"data/truth.csv": "x"}))
    bomb = zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED)
    with bomb:
        bomb.writestr("main.py", "")
        bomb.writestr("assets/zeros", bytes(30_000_000))
    assert "more than is believable" in refused(tmp_path / "bomb.zip")
    link = zipfile.ZipInfo("assets/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr("main.py", "")
        archive.writestr(link, "/etc/passwd")
    assert "holds the link" in refused(tmp_path / "link.zip")
    nested = zipped(tmp_path / "nested.zip", "", **{f"{'d/' * 3000}x": "x"})
    assert "a path of 3001 folders" in refused(nested)
    deeper = io.BytesIO()
    with zipfile.ZipFile(deeper, "w") as archive:
        archive.writestr("inference/main.py", "")
    (tmp_path / "deeper.zip").write_bytes(deeper.getvalue())
    assert "zip the contents of that folder" in refused(tmp_path / "deeper.zip")


def test_data_that_is_not_the_organisers_is_refused(tmp_path: Path, data: Path) -> None:
    shutil.copy(data / "submission_format.csv", tmp_path)
    with pytest.raises(DataError, match=r"has no test_metadata\.csv"):
        check_package(zipped(tmp_path / "s.zip", ""), tmp_path)
    with pytest.raises(UsageError, match="no Python at"):
        check_package(zipped(tmp_path / "s.zip", ""), data, python=tmp_path / "python")
    with pytest.raises(UsageError, match="no Python that answers"):
        check_package(zipped(tmp_path / "s.zip", ""), data, python="true")
