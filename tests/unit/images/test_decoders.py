"""Decoding in another process: the same pixels, and nothing that a decoder does reaches this one."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trapline.errors import TraplineError
from trapline.images import Box, CropPolicy, Decoder, ImageError, Limits, Preprocessing, decoders, prepare

pytestmark = pytest.mark.slow  # each starts processes

SIZE = Preprocessing(height=32, width=48)

HAUNTED = """
import sys, os, time; sys.path[:] = {path!r}
from trapline.images import worker
real = worker.prepare
def prepare(path, *rest):
    if "crash" in path.name: os.abort()
    if "once" in path.name and not path.with_name("crashed").exists():
        path.with_name("crashed").touch(); os.abort()
    if "hang" in path.name: time.sleep(60)
    if "bug" in path.name: raise ZeroDivisionError("bug\\udcff")
    if "print" in path.name: os.write(1, b"warning: loud library\\n")
    return real(path, *rest)
worker.prepare = prepare
worker.main()
"""
"""A worker in which the decoder does to photos what their names say; a crash is a real SIGABRT."""


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    one = Decoder()
    yield one
    one.close()


@pytest.fixture
def haunted(monkeypatch: pytest.MonkeyPatch, decoder: Decoder) -> Decoder:
    command = [sys.executable, "-c", HAUNTED.format(path=sys.path)]
    monkeypatch.setattr(decoders, "_command", lambda _: command)
    return decoder


def photo(path: Path) -> Path:
    pixels = np.random.default_rng(1).integers(0, 255, (90, 120, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path, "JPEG")
    return path


def black() -> np.ndarray:
    return np.zeros((32, 48, 3), np.uint8)


def test_it_gives_what_prepare_gives(decoder: Decoder, tmp_path: Path) -> None:
    path, pixels = photo(tmp_path / "naïve \udcff 猫.jpg"), black()
    assert decoder.prepare_into(pixels, path, SIZE).warning is None
    assert np.array_equal(pixels, prepare(path, SIZE).pixels)
    corner = SIZE.model_copy(update={"fit": "corner"})
    assert decoder.prepare_into(pixels, path, corner).inner == prepare(path, corner).inner == (32, 43)
    policy, box = SIZE.model_copy(update={"crop": CropPolicy()}), Box(0.1, 0.2, 0.3, 0.4)
    assert decoder.prepare_into(pixels, path, policy, box).warning is None
    assert np.array_equal(pixels, prepare(path, policy, box).pixels)
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(path.read_bytes()[:4000])
    warning = decoder.prepare_into(pixels, cut, SIZE).warning
    assert warning == prepare(cut, SIZE).warning
    with pytest.raises(ImageError, match="bytes are more than the limit of 10"):
        decoder.prepare_into(pixels, path, SIZE, limits=Limits(max_bytes=10))
    with pytest.raises(ImageError, match="no such file"):
        decoder.prepare_into(pixels, tmp_path / "none.jpg", SIZE)


def test_a_crash_is_told_twice_and_the_next_photo_goes_on(haunted: Decoder, tmp_path: Path) -> None:
    pixels = black()
    with pytest.raises(ImageError, match=r"the decoder crashed \(signal 6\)"):
        haunted.prepare_into(pixels, photo(tmp_path / "crash.jpg"), SIZE)
    assert not pixels.any()
    assert haunted.prepare_into(pixels, photo(tmp_path / "once.jpg"), SIZE).warning is None
    assert (tmp_path / "crashed").exists()  # the second try, as after somebody else ended the process
    with pytest.raises(ImageError, match="unexpected ZeroDivisionError: bug"):
        haunted.prepare_into(pixels, photo(tmp_path / "bug.jpg"), SIZE)
    assert haunted.prepare_into(pixels, photo(tmp_path / "print.jpg"), SIZE).warning is None
    assert np.array_equal(pixels, prepare(tmp_path / "print.jpg", SIZE).pixels)


def test_a_photo_that_takes_too_long_is_given_up(haunted: Decoder, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ImageError, match=r"took more than 0\.5 s"):
        haunted.prepare_into(black(), photo(tmp_path / "hang.jpg"), SIZE, limits=Limits(max_seconds=0.5))
    assert time.monotonic() - started < 20
    assert haunted.prepare_into(black(), photo(tmp_path / "good.jpg"), SIZE).warning is None


def test_a_process_that_ended_meanwhile_is_started_again(decoder: Decoder, tmp_path: Path) -> None:
    path, pixels = photo(tmp_path / "a.jpg"), black()
    decoder.prepare_into(pixels, path, SIZE)
    assert decoder._process is not None
    decoder._process.kill()
    decoder._process.wait()
    pixels[:] = 0
    assert decoder.prepare_into(pixels, path, SIZE).warning is None
    assert pixels.any()


def test_no_process_at_all_is_an_error_of_the_run(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(decoders, "_command", lambda _: [str(tmp_path / "no-python")])
    with pytest.raises(TraplineError, match="No process for decoding"):
        decoder.prepare_into(black(), tmp_path / "a.jpg", SIZE)


def test_processes_that_end_before_they_are_ready_are_no_fault_of_the_photo(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(decoders, "_command", lambda _: [sys.executable, "-c", "raise SystemExit(3)"])
        with pytest.raises(TraplineError, match=r"it ended \(exit status 3\)") as told:
            decoder.prepare_into(black(), photo(tmp_path / "a.jpg"), SIZE)
        assert not isinstance(told.value, ImageError)
    assert decoder.prepare_into(black(), tmp_path / "a.jpg", SIZE).warning is None


@pytest.mark.skipif(sys.platform != "linux", reason="open files are counted in /proc")
def test_processes_that_cannot_be_started_leave_no_pipes(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(decoders, "_command", lambda _: [str(tmp_path / "no-python")])
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(TraplineError, match="No process for decoding"):
            decoder.start()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_is_left_of_an_answer_is_never_the_next_photos(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = photo(tmp_path / "a.jpg"), tmp_path / "b.png"
    Image.new("RGB", (60, 40), (1, 2, 3)).save(second)
    decoder.prepare_into(black(), second, SIZE)

    class Failing(type(decoders.ANSWER)):  # type: ignore[misc]
        def unpack(self, _: bytes) -> tuple[int, ...]:
            raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(decoders, "ANSWER", Failing(decoders.ANSWER.format))
        with pytest.raises(MemoryError):
            decoder.prepare_into(black(), first, SIZE)
    pixels = black()
    decoder.prepare_into(pixels, second, SIZE)
    assert np.array_equal(pixels, prepare(second, SIZE).pixels)


def test_the_content_of_a_file_gives_the_same(decoder: Decoder, tmp_path: Path) -> None:
    path, pixels = photo(tmp_path / "a.jpg"), black()
    assert decoder.prepare_into(pixels, path.read_bytes(), SIZE).warning is None
    assert np.array_equal(pixels, prepare(path, SIZE).pixels)
    with pytest.raises(ImageError, match="not a picture"):
        decoder.prepare_into(pixels, b"no picture", SIZE)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_a_picture_that_needs_more_memory_than_allowed_fails_alone(decoder: Decoder, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    Image.new("RGB", (6000, 4000)).save(large)
    with pytest.raises(ImageError):
        decoder.prepare_into(black(), large, SIZE, limits=Limits(max_memory=32 * 2**20))
    assert decoder.prepare_into(black(), large, SIZE).warning is None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the process ends with its job")
def test_a_process_that_is_busy_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    script = f"""
import sys, time; sys.path[:] = {sys.path!r}
import numpy as np
from trapline.images import Decoder, Preprocessing, decoders
haunted = {HAUNTED.format(path=sys.path)!r}.replace("worker.main()", "worker.main(LIFE)")
decoders._command = lambda life: [sys.executable, "-c", haunted.replace("LIFE", str(life))]
import threading
one = Decoder()
pixels = np.zeros((32, 48, 3), np.uint8)
hang = lambda: one.prepare_into(pixels, __import__("pathlib").Path({str(photo(tmp_path / "hang.jpg"))!r}),
                                Preprocessing(height=32, width=48))
threading.Thread(target=hang, daemon=True).start()
while one._process is None: time.sleep(0.01)
time.sleep(1)
print(one._process.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and "zombie" not in Path(f"/proc/{child}/status").read_text():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_what_need_not_be_decoded_again_is_told_from_what_must(decoder: Decoder, tmp_path: Path) -> None:
    path = photo(tmp_path / "photo.jpg")
    other = SIZE.model_copy(update={"height": 24, "decoding": "quick", "crop": CropPolicy()})
    pixels = np.zeros((24, 48, 3), np.uint8)
    expected = [prepare(path, other, box) for box in (None, Box(0.1, 0.1, 0.8, 0.8))]
    with pytest.raises(ImageError):  # nothing was decoded yet
        decoder.prepare_into(pixels, path, other, only_kept=True)
    decoder.prepare_into(black(), path, SIZE.model_copy(update={"decoding": "quick"}))
    for box, prepared in zip((None, Box(0.1, 0.1, 0.8, 0.8)), expected, strict=True):
        made = decoder.prepare_into(pixels, path, other, box, only_kept=True)
        np.testing.assert_array_equal(made.pixels, prepared.pixels)
        assert made.inner == prepared.inner
    with pytest.raises(ImageError):  # another way of decoding
        decoder.prepare_into(black(), path, SIZE, only_kept=True)
