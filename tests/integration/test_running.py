"""Commands in surroundings that are not kind: stopped in the middle, no network, no home, a poor terminal."""

import contextlib
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trapline.catalog import Catalog

pytest.importorskip("torch")

pytestmark = pytest.mark.slow
MakeWorld = Callable[..., Catalog]
SMALL = ["--set", "preprocessing.height=94", "--set", "preprocessing.width=94", "--set", "batch_size=4"]
COMMAND = [sys.executable, "-m", "trapline"]
DEFAULT = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


IN_ONE_PROCESS = """
import sys
from trapline.cli import main
for order in sys.argv[1:]:
    try:
        main(order.split())
    except SystemExit as end:
        assert not end.code, (order, end.code)
    print(chr(30), end="", flush=True)
"""
"""Runs the commands that it is given, each in a text, one after the other; \\x1e ends what each says."""


def surroundings(tmp_path: Path, **changes: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "TRAPLINE_CACHE": str(tmp_path / "cache"), **changes}


def _as_in_a_terminal() -> None:
    for number, handler in DEFAULT.items():
        signal.signal(number, handler)


def stopped(
    arguments: list[str], by: signal.Signals, when: Callable[[], Any], tmp_path: Path
) -> tuple[int, str]:
    """Status and standard error of a command that gets a signal once `when` is true."""
    run = subprocess.Popen(
        [*COMMAND, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=surroundings(tmp_path),
        preexec_fn=_as_in_a_terminal,
    )
    until = time.monotonic() + 120
    while not when() and run.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    run.send_signal(by)
    return run.wait(60), run.communicate()[1]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
@pytest.mark.parametrize("by", list(DEFAULT))
def test_training_that_is_stopped_in_an_epoch_says_how_it_goes_on(
    world: MakeWorld, tmp_path: Path, by: signal.Signals
) -> None:
    catalog = str(world().save(tmp_path / "catalog.parquet"))
    folder = tmp_path / "run"
    order = ["train", catalog, "-r", "small-cnn", *SMALL, "--set", "epochs=4000", "-o", str(folder)]
    status, error = stopped(order, by, lambda: list(folder.rglob("last.ckpt")), tmp_path)
    assert (status, "--resume" in error, "Traceback" in error) == (130, True, False), error
    assert not (folder / "model.onnx").exists()
    import torch

    state = torch.load(folder / "member-0" / "last.ckpt", map_location="cpu", weights_only=True)
    assert [row["epoch"] for row in state["history"]] == [*range(1, len(state["history"]) + 1)]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
def test_a_search_that_is_stopped_in_a_trial_does_not_count_the_trial(
    world: MakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = str(world().save(tmp_path / "catalog.parquet"))
    order = ["tune", catalog, "-r", "small-cnn", *SMALL, "--set", "epochs=4000", "--folds", "2"]
    temporary = tmp_path / "temporary"  # where the epochs of a trial are kept
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    status, error = stopped(
        [*order, "-o", str(tmp_path / "s")],
        signal.SIGINT,
        lambda: list(temporary.rglob("last.ckpt")),
        tmp_path,
    )
    assert (status, "trials that are left" in error, "Traceback" in error) == (130, True, False), error
    assert not (tmp_path / "s" / "trials.csv").exists()


def told(arguments: list[str], environment: dict[str, str]) -> tuple[int, str]:
    run = subprocess.run(
        [*COMMAND, *arguments], env=environment, capture_output=True, check=False, timeout=300
    )
    return run.returncode, (run.stdout + run.stderr).decode(errors="replace")


@contextlib.contextmanager
def nobody() -> Iterator[str]:
    """The address of a hub that takes what one sends and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("command", ["train", "tune", "run"])
def test_a_recipe_whose_weights_cannot_be_had_says_so_first_and_leaves_nothing(
    world: MakeWorld, tmp_path: Path, command: str
) -> None:
    catalog = world().save(tmp_path / "catalog.parquet")
    shutil.rmtree(tmp_path / "photos")  # nobody looks at photos before
    recipe = ["-r", "conser-vision-resnet50", "-o", str(tmp_path / "out")]
    if command == "tune":
        (tmp_path / "space.yaml").write_text("search: {optimiser.lr: {choices: [1e-3, 1e-4]}}\n")
        recipe += ["--recipe-file", str(tmp_path / "space.yaml")]
    there = sorted(tmp_path.rglob("*"))
    with nobody() as address:
        environment = surroundings(tmp_path, HF_HOME=str(tmp_path / "hub"), HF_ENDPOINT=address)
        status, said = told([command, str(catalog), *recipe], environment)
    assert (status, said.count("\n"), "Hugging Face" in said, "--set weights=" in said) == (
        1,
        1,
        True,
        True,
    ), said
    assert sorted(tmp_path.rglob("*")) == there


def test_weights_that_the_hub_has_are_fetched_once_and_loaded(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    from safetensors.torch import save_file

    name = "test_resnet.r160_in1k"
    save_file(timm.create_model(name, pretrained=False).state_dict(), tmp_path / "model.safetensors")
    content = (tmp_path / "model.safetensors").read_bytes()
    asked: list[str] = []

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            asked.append(self.path)
            ours = self.path == f"/timm/{name}/resolve/main/model.safetensors"
            self.send_response(200 if ours else 404)
            self.send_header("ETag", '"0123456789abcdef"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("Content-Length", str(len(content) if ours else 0))
            self.end_headers()
            if ours and self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    program = (
        "import sys, torch; from pathlib import Path; from safetensors.torch import load_file\n"
        "from trapline.recipes import resolve_recipe; from trapline.models.networks import build_network\n"
        "from trapline.training.frozen import need_weights\n"
        "size = ['preprocessing.height=160', 'preprocessing.width=160']\n"
        f"recipe = resolve_recipe('timm/{name}', None, size)\n"
        "need_weights(recipe, Path(sys.argv[1]))\n"
        "network, _ = build_network(recipe, 2); own = network.backbone.state_dict()\n"
        f"saved = load_file(Path(sys.argv[1]) / 'model.safetensors')\n"
        "assert own and all(torch.equal(own[key], saved[key]) for key in own)\n"
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        environment = surroundings(tmp_path, HF_HOME=str(tmp_path / "hub"), HF_ENDPOINT=address)
        subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=environment, check=True)
        server.shutdown()
    assert asked
    environment["HF_ENDPOINT"] = "http://127.0.0.1:9"  # nobody there: it is in the cache
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=environment, check=True)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_labels_that_the_output_has_no_signs_for_end_no_command(tmp_path: Path, encoding: str) -> None:
    from PIL import Image

    rows = ["path,label,location,datetime"]
    for place in range(6):
        for number, label in enumerate(("Füchsin", "鹿")):
            name = f"photos/P{place}/{number}.png"
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 24), (250 * number, 90, place * 9)).save(tmp_path / name)
            rows.append(f"{name},{label},Wäldchen {place},2024-01-0{place + 1} 10:00:00")
    (tmp_path / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
    environment = surroundings(
        tmp_path, PYTHONIOENCODING=encoding, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"
    )
    orders = (
        "catalog labels.csv -o c.parquet --json",
        "catalog labels.csv -o c.parquet --force",
        "split c.parquet -o c.parquet --force",
        "explore c.parquet -o explore.html",
        "train c.parquet -r head -o run",
        "show run/model.onnx",
        "show run/model.onnx --json",
        "predict run/model.onnx c.parquet -o p.csv",
        "evaluate c.parquet p.csv -o e.html",
    )
    command = [sys.executable, "-c", IN_ONE_PROCESS, *orders]
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr
    for order, said in zip(orders, run.stdout.split(b"\x1e"), strict=False):
        if order.endswith("--json"):
            json.loads(said.decode(encoding))


def test_a_path_that_the_locale_cannot_name_is_told_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,label\n鹿.png,deer\n", encoding="utf-8")
    environment = surroundings(tmp_path, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    status, said = told(
        ["catalog", str(tmp_path / "labels.csv"), "-o", str(tmp_path / "c.parquet")], environment
    )
    assert status in (0, 1)  # as the system has it
    assert "Traceback" not in said


@pytest.fixture
def nameless() -> list[str]:
    """What stands before a command so that its user has neither home nor name; reading, he may."""
    able = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    command = ["setpriv", "--reuid=1000730000", "--regid=0", "--clear-groups", *able]
    if shutil.which("setpriv") is None or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("nobody can become somebody else here (setpriv)")
    return command


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that every user may write to; pytest's own are their maker's alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def test_a_user_without_home_and_name_trains_and_predicts(
    world: MakeWorld, nameless: list[str], open_to_all: Path
) -> None:
    world().save(open_to_all / "catalog.parquet")
    (open_to_all / "tmp").mkdir()
    (open_to_all / "tmp").chmod(0o777)
    bare = {"PATH": "/usr/bin:/bin", "TMPDIR": str(open_to_all / "tmp"), "OMP_NUM_THREADS": "1"}
    catalog, cnn = open_to_all / "catalog.parquet", open_to_all / "cnn"
    for orders in (
        (
            f"train {catalog} -r head -o {open_to_all / 'head'}",
            f"train {catalog} -r small-cnn {' '.join(SMALL)} --set epochs=1 -o {cnn}",
        ),
        (
            f"predict {cnn / 'model.onnx'} {catalog} -o {open_to_all / 'p.csv'}",
            f"evaluate {catalog} {open_to_all / 'p.csv'} -o {open_to_all / 'e.html'}",
        ),
    ):
        command = [*nameless, sys.executable, "-c", IN_ONE_PROCESS, *orders]
        run = subprocess.run(command, env=bare, capture_output=True, check=False, timeout=300)
        assert run.returncode == 0, run.stderr[-3000:].decode()
    assert (open_to_all / "tmp" / "trapline-cache-1000730000").is_dir()
