"""The files of ready models on this machine: fetched when asked for, checked, kept, used without a network.

A model has a folder of its own below `models` in the cache: what came, and `kept.json`, which describes it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

from trapline.errors import DataError, TraplineError, UsageError
from trapline.models import backbones, detectors, kinds
from trapline.models.ready import TERMS, ReadyModel
from trapline.storage import MOST_BYTES, download, lock, replace_text, unpack, user_cache_folder

MIRROR = "TRAPLINE_MODELS_FROM"
"""The environment's name of an address or folder that has the files, instead of their publishers."""

OWN_MODEL = "trapline.onnx"
"""What the model file that was made of a foreign one is called, beside it; the id stands for it."""

_RECORD = "kept.json"
_RECORDED = ("id", "path", "source", "size", "sha256", "checked")
_PICKLES = (".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_NETWORKS = (".onnx", ".keras", ".h5")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz")


@dataclass(frozen=True)
class KeptModel:
    """A ready model that is on this machine.

    Attributes:
        id: of the catalogue.
        path: of the model.
        source: where it came from.
        size: of the file that came, bytes.
        sha256: of that file.
        checked: against what it was checked.
        fetched: whether this call brought it.
        trouble: why it cannot be used; empty if it can, or nobody has tried.
        damaged: whether that is the file's fault, and not only that something must be said of it.
    """

    id: str
    path: Path
    source: str
    size: int
    sha256: str
    checked: str
    fetched: bool = False
    trouble: str = ""
    damaged: bool = False


@dataclass(frozen=True)
class _Arrived:
    """A file that came, and against what it is checked."""

    path: Path
    source: str
    sha256: str
    checked: str


def ready_folder(model: ReadyModel) -> Path:
    """Where the files of a ready model are kept, whether there are any or not."""
    return user_cache_folder() / "models" / model.id


def ready_path(model: ReadyModel) -> Path | None:
    """The file that is used where a ready model is named; None if there is none on this machine."""
    if model.shipped:
        rooms = {"detector": detectors.SHIPPED, "classifier": kinds.SHIPPED, "encoder": backbones.SHIPPED}
        return rooms[model.task].path(model.id)
    kept = kept_model(model)
    own = ready_folder(model) / OWN_MODEL
    return own if own.is_file() else None if kept is None else kept.path


def kept_model(model: ReadyModel) -> KeptModel | None:
    """What has come of a ready model; None if nothing has that can be used, or it comes with Trapline."""
    folder = ready_folder(model)
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        kept = KeptModel(**record | {"path": folder / record["path"]})
    except (OSError, ValueError, TypeError, KeyError):  # a cache: what is damaged is fetched again
        return None
    return kept if kept.path.is_file() else None


def get_model(
    model: ReadyModel,
    *,
    source: str | None = None,
    file: Path | None = None,
    sha256: str | None = None,
    unchecked: bool = False,
    accept_licence: bool = False,
    force: bool = False,
    most_bytes: int = MOST_BYTES,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> KeptModel:
    """Have a ready model on this machine; one that is there already stays.

    Args:
        model: of the catalogue.
        source: a mirror: the address, or the folder, that has files of the names in the catalogue; None for
            `TRAPLINE_MODELS_FROM`, and else the publisher.
        file: take this file, and fetch none.
        sha256: what the file must have, in hexadecimal; None for what the catalogue knows.
        unchecked: take what comes where nothing is known to check it.
        accept_licence: agree to the licence's terms.
        force: replace what is there.
        most_bytes: refuse a larger file.
        progress: is told how many bytes are there, and how many there will be, if the server says.

    Raises:
        UsageError: the licence's terms were not accepted, nothing is known to check the file, or there is
            no such mirror or checksum.
        DataError: it is not the wanted file, or has no model in it.
        TraplineError: the network or the server failed; what has come is kept.
    """
    if model.shipped:
        raise UsageError(
            f"{model.id} comes with Trapline: its name is enough, and there is nothing to fetch."
        )
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise UsageError(f"'{sha256}' is no SHA-256: that is 64 hexadecimal digits.")
    if file is not None and source is not None:
        raise UsageError("A model comes from --file or from a mirror, --from: name one.")
    known = kept_model(model)
    if known is not None and not force and file is None:
        if sha256 is not None and sha256.lower() != known.sha256:
            raise UsageError(f"{model.id} is here with the SHA-256 {known.sha256}. Replace it with --force.")
        return known
    if known is not None and not force:
        raise UsageError(f"{model.id} is here already, from {known.source}. Replace it with --force.")
    _check_terms(model, accept_licence)
    folder = ready_folder(model)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{model.id}.lock").open("a+b") as taken:
        lock(taken, folder)
        if file is not None:
            return _keep(model, _take(model, file, sha256), most_bytes)
        arrived = _fetch(model, source or os.environ.get(MIRROR), sha256, unchecked, most_bytes, progress)
        return replace(_keep(model, arrived, most_bytes), fetched=True)


def _check_terms(model: ReadyModel, accepted: bool) -> None:
    if not model.terms or accepted:
        return
    terms = "; ".join(f"{term}: {TERMS[term]}" for term in model.terms)
    where = f" It stands at {model.licence_source}." if model.licence_source else ""
    raise UsageError(
        f"The licence of {model.id} is {model.licence} ({terms}).{where} With --accept-licence you say that "
        "you have read it and keep to it."
    )


def _take(model: ReadyModel, file: Path, sha256: str | None) -> _Arrived:
    """The file that somebody has put there by hand, as it is."""
    if not file.is_file():
        raise DataError(f"There is no file at {file}.")
    if file.suffix.lower() in _PICKLES:
        raise DataError(
            f"{file} is PyTorch's pickle, which runs code when it is opened, so that Trapline does not. "
            "Export it to ONNX with the program that made it."
        )
    if file.suffix.lower() not in _NETWORKS + _ARCHIVES:
        raise DataError(f"{file} is no model: that is {', '.join(_NETWORKS)}, or an archive with one.")
    same_kind = model.file is not None and Path(model.file).suffix.lower() == file.suffix.lower()
    digest = _digest(file)
    arrived = _Arrived(file, str(file.absolute()), digest, "nothing; the file was given by hand")
    return _check(model, arrived, sha256, known=same_kind)


def _fetch(
    model: ReadyModel,
    mirror: str | None,
    sha256: str | None,
    unchecked: bool,
    most_bytes: int,
    progress: Callable[[int, int | None], None],
) -> _Arrived:
    """The file of the mirror, or of the first publisher's address that answers."""
    if model.holds == "pytorch-pickle" or model.file is None or not (mirror or model.urls):
        raise UsageError(_by_hand(model))
    wanted = sha256 or model.sha256
    if not (wanted or unchecked):
        raise UsageError(
            f"Nobody states the SHA-256 of {model.id}, so that what comes cannot be checked. Give it with "
            "--sha256 if you have it from its publisher; with --unchecked you take what comes, and its "
            "SHA-256 is told and kept."
        )
    if mirror and (folder := Path(mirror)).is_dir():
        return _check(model, _of_folder(folder / model.file), sha256)
    if mirror and not mirror.startswith(("https://", "http://")):
        raise UsageError(
            f"The mirror {mirror} is no folder that is there, and no address, which begins with https://."
        )
    target = ready_folder(model).parent / "downloads" / model.file
    urls = (f"{mirror.rstrip('/')}/{model.file}",) if mirror else model.urls
    for number, url in enumerate(urls, start=1):
        try:
            done = download(url, target, sha256=wanted, most_bytes=most_bytes, force=True, progress=progress)
            break
        except TraplineError:
            if number == len(urls):
                raise
    arrived = _Arrived(target, url, done.sha256, "nothing; what came was taken")
    return _check(model, arrived, sha256)


def _of_folder(file: Path) -> _Arrived:
    if not file.is_file():
        raise DataError(f"The mirror {file.parent} has no {file.name}.")
    return _Arrived(file, str(file.absolute()), _digest(file), "nothing; what came was taken")


def _by_hand(model: ReadyModel) -> str:
    where = f" Its page: {model.page}." if model.page else ""
    why = f" {model.note}" if model.note else ""
    return (
        f"There is no file of {model.id} that Trapline could fetch and open.{why}{where} A file that "
        f"you have is used with: trapline models get {model.id} --file FILE"
    )


def _check(model: ReadyModel, arrived: _Arrived, sha256: str | None, known: bool = True) -> _Arrived:
    """The file, compared with what is known of it: what was given, or what the catalogue has.

    Args:
        model: of the catalogue.
        arrived: the file.
        sha256: that was given.
        known: whether what the catalogue knows is of this kind of file.

    Raises:
        DataError: it is another file.
    """
    wanted = sha256.lower() if sha256 else model.sha256 if known else None
    if wanted is None:
        return arrived
    if arrived.sha256 != wanted:
        raise DataError(
            f"{arrived.source} has the SHA-256 {arrived.sha256}, and {model.id} should have {wanted}: it is "
            "another file, or damaged."
        )
    return replace(arrived, checked="the SHA-256 that was given" if sha256 else "the catalogue's SHA-256")


def _keep(model: ReadyModel, arrived: _Arrived, most_bytes: int) -> KeptModel:
    """Put what came into the model's folder, whole, in the stead of what was there."""
    folder = ready_folder(model)
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    downloaded = arrived.path.parent == folder.parent / "downloads"
    size = arrived.path.stat().st_size
    try:
        if arrived.path.suffix.lower() in _ARCHIVES:
            inside = _model_in(fresh, unpack(arrived.path, fresh, max_bytes=most_bytes), arrived.source)
        else:
            fresh.mkdir(parents=True)
            inside = f"model{arrived.path.suffix.lower()}"
            (shutil.move if downloaded else shutil.copyfile)(arrived.path, fresh / inside)
        kept = KeptModel(model.id, Path(inside), arrived.source, size, arrived.sha256, arrived.checked)
        record = {name: value for name, value in asdict(kept).items() if name in _RECORDED}
        record["path"] = inside
        replace_text(fresh / _RECORD, json.dumps(record, indent=1))
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    if downloaded:
        arrived.path.unlink(missing_ok=True)
    return replace(kept, path=folder / inside)


def _model_in(folder: Path, names: Sequence[str], source: str) -> str:
    """Which file of an unpacked archive is the model: as its own manifest says, else the only network in it.

    Raises:
        DataError: none, or one of several.
    """
    files = [PurePosixPath(name) for name in names]  # without the ./ of tar
    stated = {_stated(folder, file) for file in files}
    networks = [file for file in files if file in stated] or [
        file for file in files if file.suffix.lower() in _NETWORKS
    ]
    if len(networks) != 1:
        has = ", ".join(map(str, networks or files[:5])) or "nothing"
        raise DataError(
            f"{source} should hold one model, and its files are: {has}. Unpack it, and give the file of the "
            "model with --file."
        )
    return str(networks[0])


def _stated(folder: Path, file: PurePosixPath) -> PurePosixPath | None:
    """What an archive's own description says is the model beside it; None if it is none, or says nothing.

    SPARROW's is manifest.toml, SpeciesNet's info.json.
    """
    try:
        if file.name == "manifest.toml":
            stated = tomllib.loads((folder / file).read_text(encoding="utf-8"))["model"]["file"]
        elif file.name == "info.json":
            stated = json.loads((folder / file).read_text(encoding="utf-8"))["classifier"]
        else:
            return None
    except (ValueError, KeyError, TypeError):
        return None
    return file.parent / stated if isinstance(stated, str) else None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
