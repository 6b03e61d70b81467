"""Where the real photos are, what is skipped without them, a model file of a few bytes, and broken photos."""

import io
import logging
import os
import shutil
import struct
import subprocess
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import requests

hypothesis.settings.register_profile("trapline", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("trapline")
hypothesis.settings.register_profile(  # of a mutant one example that fails is enough, of all the same ones
    "mutation",
    deadline=None,
    max_examples=15,
    derandomize=True,
    database=None,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)

if "PYTEST_XDIST_WORKER" in os.environ:  # the workers have the cores: more threads would wait for one another
    os.environ.setdefault("OMP_NUM_THREADS", "1")

FIELD = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if FIELD.is_dir():
        return
    skip = pytest.mark.skip(reason=f"needs the real photos at {FIELD}, which are not on this machine")
    for item in items:
        if "field" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def field() -> Path:
    """The folder of real photos (only in tests marked `field`)."""
    return FIELD


@pytest.fixture(scope="session")
def ordinary() -> list[str]:
    """What stands before a command so that rights bind it, also where the tests are run by root."""
    if not hasattr(os, "geteuid"):
        pytest.skip("rights are other things on this system")
    if os.geteuid() != 0:
        return []
    over = "-dac_override,-dac_read_search"  # by these root reads everything
    command = ["setpriv", f"--bounding-set={over}", f"--inh-caps={over}"]
    if shutil.which("setpriv") is None or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("root cannot give up its rights here (setpriv)")
    return command


@pytest.fixture(scope="session")
def write_tiny_model() -> Callable[..., Path]:
    """Writes a model file that looks at the mean colour of the four quarters of a photo."""

    def write(
        path: Path,
        labels: Sequence[str] = ("blank", "hare", "lynx"),
        *,
        seed: int = 0,
        size: int = 16,
        **card: Any,
    ) -> Path:
        import numpy as np
        from onnx import TensorProto, helper, numpy_helper

        from trapline.images import Preprocessing
        from trapline.models import Card
        from trapline.models.trial import mark_passed
        from trapline.models.whole_file import fingerprint_of

        features = 12
        weights = np.random.default_rng(seed).normal(0, 3, (features, len(labels))).astype(np.float32)
        half = size // 2
        constants = {
            "scale": np.array(1 / 255, np.float32),
            "quarters": np.array([0, 2, half, 2, half, 3]),
            "flat": np.array([0, features]),
            "axes": np.array([2, 4]),
            "weights": weights,
        }
        nodes = [
            helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["floats", "scale"], ["unit"]),
            helper.make_node("Reshape", ["unit", "quarters"], ["cut"]),
            helper.make_node("ReduceMean", ["cut", "axes"], ["means"], keepdims=0),
            helper.make_node("Reshape", ["means", "flat"], ["embedding"]),
            helper.make_node("MatMul", ["embedding", "weights"], ["logits"]),
        ]
        multi = card.get("task") == "multi-label"
        nodes.append(helper.make_node("Sigmoid" if multi else "Softmax", ["logits"], ["probabilities"]))
        widths = {"probabilities": len(labels), "logits": len(labels), "embedding": features}
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", size, size, 3])],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])
                for name, width in widths.items()
            ],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        filled = {
            "name": "tiny",
            "task": "single-label",
            "preprocessing": Preprocessing(height=size, width=size),
        } | card
        described = Card(labels=tuple(labels), embedding_size=features, **filled)
        helper.set_model_props(model, {"trapline_card": described.model_dump_json()})
        content = model.SerializeToString()
        path.write_bytes(content)
        mark_passed(
            fingerprint_of(content)
        )  # made here: no process of a trial for it, as for what training makes
        return path

    return write


@pytest.fixture(scope="session")
def statistics() -> Callable[[float], Any]:
    """Of the embedding of a tiny model: how red and how green the first quarter of a photo is.

    Called with the threshold of one photo; that of ten and more is half of it.
    """

    def make(threshold: float) -> Any:
        import numpy as np

        from trapline.models import Familiar, pack_directions

        directions, scales = pack_directions(np.eye(2, 12))
        return Familiar(
            by="location",
            groups=30,
            media=300,
            directions=directions,
            scales=scales,
            offsets=(-0.5, -0.5),
            between=(0.1, 0.2),
            most=50,
            sizes=(1, 10),
            thresholds=(threshold, threshold / 2),
            held_out="30 training locations, each by the statistics of the others",
        )

    return make


@pytest.fixture(scope="session")
def write_zoo() -> Callable[[Path], dict[str, str]]:
    """Fills a folder with good and broken photos; returns file name -> `ok`, `odd` (ok, but) or `failed`.

    A photo that may not be read is not among them: it needs a process that rights bind (`write_forbidden`).
    """

    def write(folder: Path) -> dict[str, str]:
        folder.mkdir(parents=True, exist_ok=True)
        return _write_good(folder) | _write_odd(folder) | _write_broken(folder)

    return write


@pytest.fixture(scope="session")
def write_forbidden(ordinary: list[str]) -> Callable[[Path], str]:
    """Puts a good photo into a folder that a command after `ordinary` may not read; returns its name."""

    def write(folder: Path) -> str:
        (folder / "forbidden.jpg").write_bytes(_encoded(_picture(), "JPEG"))
        (folder / "forbidden.jpg").chmod(0)
        return "forbidden.jpg"

    return write


@pytest.fixture
def world(tmp_path: Path) -> Callable[..., Any]:
    """12 photos of 60 × 40 pixels at 6 locations; the label is the brightest channel."""

    import numpy as np
    from PIL import Image

    from trapline.catalog import Catalog

    box = {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.2, "width": 0.3, "height": 0.4}

    def make(**changes: Any) -> Any:
        random = np.random.default_rng(0)
        rows = []
        for place in range(12):
            label = "ab"[place % 2]
            pixels = random.integers(0, 120, (40, 60, 3), dtype=np.uint8)
            pixels[10:20, 10:20, place % 2] = 255
            (tmp_path / "photos").mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "photos" / f"{place}.png")
            row = {
                "media_id": str(place),
                "file_path": f"{place}.png",
                "location_id": f"L{place // 2}",
                "labels": [label],
                "split": "train" if place < 8 else "validation",
                "boxes": [box] if place % 3 else [],
            }
            rows.append(row | {key: value(row) for key, value in changes.items()})
        return Catalog.from_rows(rows, tmp_path / "photos", "synthetic")

    return make


def _picture(mode: str = "RGB", width: int = 96, height: int = 64) -> Any:
    import numpy as np
    from PIL import Image

    rows, columns = np.mgrid[0:height, 0:width]
    channels = [rows * 3 % 256, columns * 2 % 256, (rows + columns) % 256]
    return Image.fromarray(np.stack(channels, axis=2).astype(np.uint8)).convert(mode)


def _encoded(image: Any, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _write_good(folder: Path) -> dict[str, str]:
    import numpy as np
    from PIL import Image

    sixteen = Image.fromarray((np.arange(96 * 64).reshape(64, 96) * 10).astype(np.uint16))
    files = {
        "plain.jpg": _encoded(_picture(), "JPEG"),
        "progressive.jpg": _encoded(_picture(), "JPEG", progressive=True),
        "grey.jpg": _encoded(_picture("L"), "JPEG"),
        "cmyk.jpg": _encoded(_picture("CMYK"), "JPEG"),
        "one pixel.jpg": _encoded(_picture(width=1, height=1), "JPEG"),
        "thin.jpg": _encoded(_picture(width=1, height=900), "JPEG"),
        "palette.png": _encoded(_picture("P"), "PNG"),
        "clear palette.gif": _encoded(_picture("P"), "GIF", transparency=3),
        "alpha.png": _encoded(_picture("RGBA"), "PNG"),
        "grey alpha.png": _encoded(_picture("LA"), "PNG"),
        "bits.png": _encoded(_picture("1"), "PNG"),
        "sixteen.png": _encoded(sixteen, "PNG"),
        "sixteen.tif": _encoded(sixteen, "TIFF"),
        "lab.tif": _encoded(_picture("RGB").convert("YCbCr"), "TIFF"),
        "picture.bmp": _encoded(_picture(), "BMP"),
        "picture.webp": _encoded(_picture(), "WEBP"),
        "png named.jpg": _encoded(_picture(), "PNG"),
        "no suffix": _encoded(_picture(), "JPEG"),
        "8.2 G (108) !! Été ž 猫.jpg": _encoded(_picture(), "JPEG"),
        "long" + "g" * 240 + ".jpg": _encoded(_picture(), "JPEG"),
        "trailing rubbish.jpg": _encoded(_picture(), "JPEG") + b"\x00rubbish" * 50,
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return dict.fromkeys(files, "ok")


def _write_odd(folder: Path) -> dict[str, str]:
    whole = _encoded(_picture(width=320, height=240), "JPEG", quality=95)
    frames = [_picture("P"), _picture("P").rotate(180)]
    exif_lie = (
        whole[:2] + b"\xff\xe1\x00\x20Exif\x00\x00" + b"II*\x00\xff\xff\xff\x7f" + b"\x01" * 16 + whole[2:]
    )
    files = {
        "truncated.jpg": whole[: len(whole) * 2 // 3],
        "truncated.png": _encoded(_picture(width=320, height=240), "PNG")[:-400],
        "animated.gif": _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
    }
    (folder / "lying exif.jpg").write_bytes(exif_lie)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return dict.fromkeys(files, "odd") | {"lying exif.jpg": "ok"}


def _write_broken(folder: Path) -> dict[str, str]:
    import numpy as np
    from PIL import Image

    jpeg, png = _encoded(_picture(), "JPEG"), _encoded(_picture(), "PNG")
    files = {
        "empty.jpg": b"",
        "text.jpg": b"This is not a photo.\n" * 20,
        "start only.jpg": jpeg[:40],
        "header only.jpg": jpeg[: jpeg.index(b"\xff\xda")],
        "bomb.png": _resized_png(png, 60_000, 60_000),
        "zero width.png": _resized_png(png, 0, 64),
        "zero height.jpg": jpeg.replace(struct.pack(">HH", 64, 96), struct.pack(">HH", 0, 96), 1),
        "float.tif": _encoded(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF"),
        "heic.jpg": b"\x00\x00\x00\x18ftypheic" + b"\x00" * 100,
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "folder.jpg").mkdir()
    names = [*files, "folder.jpg", "vanished.jpg"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.jpg")
        (folder / "loop.jpg").symlink_to("loop.jpg")
        (folder / "dangling.jpg").symlink_to("nowhere.jpg")
        names += ["pipe.jpg", "loop.jpg", "dangling.jpg"]
    return dict.fromkeys(names, "failed")


def _resized_png(png: bytes, width: int, height: int) -> bytes:
    """The same PNG with another size in its header, and the checksum right."""
    header = b"IHDR" + struct.pack(">II", width, height) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in the test's folder: exit status, standard output, standard error."""
    from trapline.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(list(arguments))
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a server that speaks S3, on this machine only; slow to start, and one for all."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """`s3://…` of a bucket of this test's own, empty, with the environment in which it is found."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    account = {
        "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
        "AWS_SECRET_ACCESS_KEY": "the-secret-of-the-tests",
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_CONFIG_FILE": str(tmp_path / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no-credentials"),
    }
    for variable, value in account.items():
        monkeypatch.setenv(variable, value)
    where = "<LocationConstraint>eu-west-1</LocationConstraint>"
    region = f"<CreateBucketConfiguration>{where}</CreateBucketConfiguration>"
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/eu-west-1/s3/aws4_request"}
    requests.put(f"{s3_server}/{name}", data=region, headers=signed, timeout=30).raise_for_status()
    return f"s3://{name}"


@pytest.fixture
def slow_photos(tmp_path: Path) -> Path:
    """Forty-eight links to a photo that takes a while to decode, so that a run can be met in the middle."""
    import numpy as np
    from PIL import Image

    folder = tmp_path / "photos"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((4000, 3000)).save(folder / "00.jpg", quality=90)
    for number in range(1, 48):
        os.link(folder / "00.jpg", folder / f"{number:02}.jpg")
    return folder
