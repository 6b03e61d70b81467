"""No model is believed before it was tried: a zoo of bad ones against every way in."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_models import (
    BAD,
    ENDLESS,
    LOCATIONS,
    PLACES,
    WHITE,
    endless,
    external,
    make_bad,
    no_number_where_white,
)

from trapline import ModelFile
from trapline.cli import main
from trapline.errors import DataError
from trapline.models import Detector
from trapline.models import trial as trials
from trapline.models.file import flaw
from trapline.models.halting import Halt, HaltedError
from trapline.models.onnx_graph import read_graph
from trapline.models.self_contained import parse_model
from trapline.models.trial import Trial
from trapline.serving.shelf import Shelf

pytestmark = pytest.mark.slow

QUICK = Trial(seconds=1)


@pytest.fixture
def good(write_tiny_model: Any, tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "good.onnx", labels=("a", "b", "c"))


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_model_is_refused_and_why_is_said(kind: str, good: Path, tmp_path: Path) -> None:
    change, said = BAD[kind]
    with pytest.raises(DataError, match=said) as refused:
        ModelFile(make_bad(change, good, tmp_path / "bad.onnx"))
    assert len(str(refused.value)) < 3000


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_model_that_does_not_end_is_ended(kind: str, good: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="may never end"):
        ModelFile(make_bad(ENDLESS[kind], good, tmp_path / "bad.onnx"), trial=QUICK)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("location", LOCATIONS)
def test_a_tensor_outside_the_file_is_found_wherever_it_stands(
    place: str, location: str, good: Path, tmp_path: Path
) -> None:
    path = make_bad(external(place, location), good, tmp_path / "bad.onnx")
    with pytest.raises(DataError, match="weights in other files"):
        parse_model(path.read_bytes(), path)
    with pytest.raises(DataError, match="weights in other files"):
        read_graph(path)


def test_a_detector_is_tried_too(good: Path, tmp_path: Path) -> None:
    path = make_bad(external("attribute", "/etc/passwd"), good, tmp_path / "bad.onnx")
    with pytest.raises(DataError, match="weights in other files"):
        Detector(path)
    with pytest.raises(DataError, match="no detector in a layout that is known"):
        Detector(good)


@pytest.mark.parametrize("kind", ["pipe", "device", "large", "half", "empty", "text"])
def test_what_is_no_whole_regular_file_is_refused_at_once(kind: str, good: Path, tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    if kind == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("no named pipes here")
        os.mkfifo(path)
    elif kind == "device":
        if not Path("/dev/zero").exists():
            pytest.skip("no such device here")
        path.symlink_to("/dev/zero")
    elif kind == "large":
        with path.open("wb") as file:
            file.truncate(2**31 + 5)
    else:
        content = {"half": good.read_bytes()[:300], "empty": b"", "text": b"no model\n" * 99}[kind]
        path.write_bytes(content)
    with pytest.raises(
        DataError, match=r"no regular file|bytes; a model file has|cannot be opened|is no model"
    ):
        ModelFile(path)


def test_what_is_opened_is_what_was_tried(
    good: Path, write_tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_tiny_model(tmp_path / "other.onnx", labels=("a", "b", "c"), seed=7).read_bytes()
    plain = trials._try

    def swapping(*arguments: Any) -> str:
        fingerprint = plain(*arguments)
        good.write_bytes(other)
        return fingerprint

    monkeypatch.setattr(trials, "_try", swapping)
    monkeypatch.setattr(trials, "_passed", set())
    with pytest.raises(DataError, match="changed while it was tried"):
        ModelFile(good)


def test_what_was_opened_is_what_is_passed_on(good: Path, write_tiny_model: Any) -> None:
    opened = ModelFile(good)
    assert opened.content() == good.read_bytes()
    write_tiny_model(good, labels=("a", "b", "c"), seed=7)
    with pytest.raises(DataError, match="has changed since it was opened"):
        read_graph(opened)


def test_a_model_is_tried_once_in_a_process(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "_passed", set())
    ModelFile(good)
    assert trials.mark_all_passed()
    monkeypatch.setattr(trials, "_try", lambda *_: pytest.fail("it was tried before"))
    ModelFile(good)


def test_a_trial_can_be_stopped(good: Path, tmp_path: Path) -> None:
    halt, path = Halt(), make_bad(endless(), good, tmp_path / "bad.onnx")
    threading.Timer(0.5, halt.now).start()
    started = time.monotonic()
    with pytest.raises(HaltedError):
        ModelFile(path, trial=Trial(halt=halt))
    assert time.monotonic() - started < 20  # and not its 30


def test_a_trial_that_needs_more_than_it_may_have_is_ended(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "_passed", set())
    monkeypatch.setattr(trials, "_free_memory", lambda: 2**20)
    if sys.platform != "linux":
        pytest.skip("the memory of another process is read from /proc")
    with pytest.raises(DataError, match="more memory"):
        ModelFile(good)


@pytest.mark.parametrize(
    ("row", "task", "said"),
    [
        ([0.2, 0.8], "single-label", None),
        ([0.9, 0.8], "multi-label", None),
        ([0.9, 0.8], "single-label", "sum to 1.7"),
        ([1.00001, 0], "single-label", None),
        ([-0.5, 1.5], "multi-label", "outside 0 to 1"),
        ([np.nan, 1], "multi-label", "NaN"),
        ([np.inf, 1], "multi-label", "infinite"),
    ],
)
def test_what_is_a_row_of_probabilities(row: list[float], task: str, said: str | None) -> None:
    found = flaw(np.array(row, np.float32), task)
    assert found is None if said is None else said in str(found)


def test_a_run_that_does_not_end_is_ended_from_another_thread(good: Path, tmp_path: Path) -> None:
    model = ModelFile(make_bad(endless("is white", *WHITE), good, tmp_path / "white.onnx"))
    white, halt = np.full((1, 16, 16, 3), 255, np.uint8), Halt()
    threading.Timer(0.3, halt.now).start()
    with halt.bound(), pytest.raises(HaltedError):
        model.run(white)
    assert halt.running == 0
    assert model.run(white // 2).probabilities.shape == (1, 3)


def test_an_answer_that_is_no_probability_is_never_told(good: Path, tmp_path: Path) -> None:
    model = ModelFile(make_bad(no_number_where_white, good, tmp_path / "white.onnx"))
    grey = np.full((2, 16, 16, 3), 99, np.uint8)
    assert np.isfinite(model.run(grey).probabilities).all()
    assert np.isnan(model.run(np.full_like(grey, 255)).probabilities).all()


@pytest.mark.parametrize("kind", ["NaN", "a sum of a half", "a tensor elsewhere"])
def test_predict_refuses_a_bad_model_before_it_looks_for_photos(
    kind: str, good: Path, tmp_path: Path, capsys: Any
) -> None:
    bad = make_bad(BAD[kind][0], good, tmp_path / "bad.onnx")
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(bad), str(tmp_path / "no photos here"), "-o", str(tmp_path / "p.csv")])
    assert ended.value.code == 1
    assert BAD[kind][1] in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.glob("p.csv*"))


def test_a_bad_model_in_place_of_a_good_one_changes_nothing_and_the_next_good_one_is_taken(
    good: Path, write_tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr("trapline.serving.shelf.Trial", partial(Trial, seconds=4))
    shelf = Shelf({"it": good})
    shelf.open_all()
    before, told = shelf.get("it"), []
    shelf.replaced = lambda name, well: told.append(well)
    changes = {kind: BAD[kind] for kind in ("NaN", "one row", "much memory", "an empty label")}
    for change, said in [*changes.values(), (ENDLESS["endless"], "may never end")]:
        make_bad(
            change, tmp_path / "good.onnx" if not told else tmp_path / "kept.onnx", tmp_path / "next.onnx"
        )
        if not told:
            (tmp_path / "kept.onnx").write_bytes(good.read_bytes())
        (tmp_path / "next.onnx").replace(good)
        shelf.replace("it")
        assert shelf.get("it") is before
        assert re.search(said, caplog.records[-1].getMessage())
    write_tiny_model(good, labels=("a", "b", "c"), seed=3)
    shelf.replace("it")
    assert told == [False] * 5 + [True]
    assert shelf.get("it").model.fingerprint != before.model.fingerprint


def test_a_process_of_a_trial_does_not_outlive_who_asked_by_more_than_its_time(
    good: Path, tmp_path: Path
) -> None:
    bad = make_bad(endless(), good, tmp_path / "bad.onnx")
    job = (
        f'{{"path": "x", "kind": "model", "runtime": "cpu", "batches": [1], "seconds": 3, "memory": {2**33}}}'
    )
    with bad.open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-c", "from trapline.models.trial_worker import main; main()", job],
            stdin=file,
            capture_output=True,
            check=False,
            timeout=60,
        )
    assert done.returncode != 0
    assert done.stdout == b""


def test_the_model_that_the_zoo_is_made_of_is_good(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "_passed", set())
    assert ModelFile(good).card.labels == ("a", "b", "c")


@pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")
def test_a_trial_that_somebody_kills_is_made_once_more(
    write_tiny_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []
    plain = trials._wait

    def kill_first(process: Any, *rest: Any) -> int | None:
        if not killed:
            killed.append(process.pid)
            process.kill()
        return plain(process, *rest)

    monkeypatch.setattr(trials, "_wait", kill_first)
    path = write_tiny_model(tmp_path / "m.onnx", seed=77)
    monkeypatch.setattr(trials, "_passed", set())
    assert ModelFile(path).card.name == "tiny"
    assert killed
