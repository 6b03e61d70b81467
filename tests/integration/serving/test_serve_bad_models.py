"""A served model that turns bad, or whose file does: others are answered, and the server ends when told."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_models import BAD, ENDLESS, WHITE, endless, make_bad, no_number_where_white
from serving_process import LAUNCH, Running

pytestmark = pytest.mark.slow


@pytest.fixture
def good(write_tiny_model: Any, tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "good.onnx", labels=("a", "b", "c"))


def ask(server: Running, value: int, photos: int = 1, **more: Any) -> tuple[int, Any]:
    """Status and document of the answer to pixels that are all the same."""
    pixels = np.full((photos, 16, 16, 3), value).tolist()
    return server.json("POST", "/v1/models/it:predict", {"instances": pixels} | more)


def until(true: Callable[[], bool], seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_replacement_that_does_not_end_keeps_nobody_waiting_and_sigterm_ends_its_trial(
    good: Path, start: Callable[..., Running], tmp_path: Path
) -> None:
    server = start(f"it={good}", "--deadline", "5")
    _, before = ask(server, 99)
    make_bad(BAD["NaN"][0], good, tmp_path / "next.onnx").replace(tmp_path / "nan.onnx")
    make_bad(ENDLESS["endless"], good, tmp_path / "endless.onnx")
    (tmp_path / "nan.onnx").replace(good)
    until(lambda: "no number (NaN)" in server.log.read_text())
    (tmp_path / "endless.onnx").replace(good)
    until(lambda: worker_of(server) is not None)
    assert ask(server, 99) == (200, before)
    assert server.ask("GET", "/health/ready")[0] == 200
    trial, started = worker_of(server), time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started < 15  # and not the 30 that the trial had left
    assert not Path(f"/proc/{trial}").exists()


def worker_of(server: Running) -> int | None:
    """The process of a trial."""
    if not Path("/proc").is_dir():
        pytest.skip("processes are looked for in /proc")
    for folder in Path("/proc").iterdir():
        try:
            told = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        if b"trial_worker" in told and parent == server.process.pid:
            return int(folder.name)
    return None


def test_a_server_does_not_start_with_a_bad_model_and_ends_at_once_when_told_to(
    good: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", LAUNCH, "serve", "--port", "0", "--no-grpc"]
    bad = make_bad(BAD["above 1"][0], good, tmp_path / "bad.onnx")
    done = subprocess.run([*command, bad], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "outside 0 to 1" in " ".join(done.stderr.split())
    make_bad(ENDLESS["endless"], good, bad)
    with subprocess.Popen([*command, bad], stderr=subprocess.PIPE) as process:
        until(lambda: worker_of(Running(process, 0, 0, bad)) is not None)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0


def test_what_a_model_says_of_some_photos_only_is_never_told_if_it_is_no_probability(
    good: Path, start: Callable[..., Running], tmp_path: Path
) -> None:
    server = start(f"it={make_bad(no_number_where_white, good, tmp_path / 'white.onnx')}")
    assert ask(server, 99)[0] == 200
    status, document = ask(server, 255)
    assert (status, document["code"]) == (500, "internal")
    assert "no probability" in document["error"]
    counts = server.ask("GET", "/metrics")[2].decode()
    assert 'trapline_requests_total{code="internal",interface="tf_rest"} 1.0' in counts
    assert ask(server, 99)[0] == 200


@pytest.mark.parametrize("batch", ["1", "4"])
def test_a_run_that_does_not_end_costs_its_request_and_no_other(
    batch: str, good: Path, start: Callable[..., Running], tmp_path: Path
) -> None:
    model = make_bad(endless("is white", *WHITE), good, tmp_path / "white.onnx")
    server = start(f"it={model}", "--threads", "1", "--batch", batch, "--deadline", "2")
    for _ in range(3):
        assert ask(server, 255)[0] == 504
        until(lambda: ask(server, 99)[0] == 200, 10)
    assert server.ask("GET", "/health/ready")[0] == 200
    assert server.stop() == 0


def test_a_process_whose_run_cannot_be_ended_says_so_and_ends(
    good: Path, start: Callable[..., Running], tmp_path: Path
) -> None:
    model = make_bad(endless("is white", *WHITE, stoppable=False), good, tmp_path / "white.onnx")
    server = start(f"it={model}", "--threads", "2", "--deadline", "1")
    assert ask(server, 255)[0] == 504
    assert ask(server, 99)[0] == 200  # the other thread
    assert server.process.wait(30) == 1
    assert "does not end" in server.log.read_text()


def test_a_worker_whose_run_cannot_be_ended_is_replaced(
    good: Path, start: Callable[..., Running], tmp_path: Path
) -> None:
    if os.name == "nt":
        pytest.skip("several workers are not run here")
    model = make_bad(endless("is white", *WHITE, stoppable=False), good, tmp_path / "white.onnx")
    server = start(f"it={model}", "--threads", "1", "--deadline", "1", "--workers", "2")
    assert ask(server, 255)[0] == 504
    until(lambda: "another starts" in server.log.read_text())
    until(lambda: all(ask(server, 99)[0] == 200 for _ in range(5)))
    assert server.stop() == 0
