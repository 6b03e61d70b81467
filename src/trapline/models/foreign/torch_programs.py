"""TorchScript files and programs of torch.export: networks with their tensors, made by PyTorch."""

from __future__ import annotations

import functools
import io
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch

from trapline.errors import TORCH_EXPORT, DataError, UsageError, kind_of
from trapline.models.foreign.description import Description, Translated, describe
from trapline.models.networks import OPSET
from trapline.models.quiet import quiet

_SCRIPT_OPSET = 17
"""The last that PyTorch's exporter of scripts knows."""

_FILES = ("aten::from_file", "aten::save", "aten::load", "prim::load", "file")


def load(path: Path, about: Description) -> Translated:
    """The program as ONNX.

    Raises:
        DataError: it cannot be read without running code, or not be translated.
        UsageError: its input's size must be said.
    """
    with warnings.catch_warnings(), quiet("torch.onnx"), torch.no_grad():
        warnings.simplefilter("ignore")
        graph = _program(path) if kind_of(path) == TORCH_EXPORT else _script(path, about)
    return Translated(graph, describe({"layout": about.layout or "NCHW"}))


def _program(path: Path) -> onnx.ModelProto:
    with zipfile.ZipFile(path) as archive:
        compiled = [name for name in archive.namelist() if "aotinductor" in name or "custom_obj" in name]
    if compiled:
        raise DataError(
            f"{path} holds compiled code ({compiled[0][:100]}). Save the program alone: torch.export.save."
        )
    try:
        with _tensors_only():
            program = torch.export.load(path)
    except Exception as error:  # PyTorch raises many kinds
        raise DataError(
            f"{path} cannot be read by PyTorch {torch.__version__}: {_first_line(error)}"
        ) from error
    made = torch.onnx.export(program, dynamo=True, opset_version=OPSET, verbose=False)
    assert made is not None
    return made.model_proto


@contextmanager
def _tensors_only() -> Iterator[None]:
    """Nothing but tensors is unpickled: a program's reader would else take what it holds besides."""
    plain = torch.load

    @functools.wraps(plain)
    def careful(*args: Any, **options: Any) -> Any:
        return plain(*args, **options | {"weights_only": True})

    torch.load = careful
    try:
        yield
    finally:
        torch.load = plain


def _script(path: Path, about: Description) -> onnx.ModelProto:
    if about.height is None or about.width is None:
        raise UsageError(
            f"{path} does not say what pictures it takes. Say which it was trained with: --size 224."
        )
    try:
        script = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    except Exception as error:  # PyTorch raises many kinds
        raise DataError(
            f"{path} cannot be read by PyTorch {torch.__version__}: {_first_line(error)}"
        ) from error
    touching = [name for name in sorted(_operators(script)) if name.startswith(_FILES)]
    if touching:
        raise DataError(f"{path} reads or writes files ({touching[0]}). It is not used.")
    sides = (about.height, about.width)
    shape = (2, *sides, 3) if about.layout == "NHWC" else (2, 3, *sides)
    file = io.BytesIO()
    torch.onnx.export(
        script,
        (torch.zeros(shape),),
        file,  # type: ignore[arg-type]  # the exporter of scripts takes it
        input_names=["pictures"],
        output_names=["answers"],
        dynamic_axes={"pictures": {0: "batch"}, "answers": {0: "batch"}},
        opset_version=_SCRIPT_OPSET,
        dynamo=False,
    )
    return onnx.load_from_string(file.getvalue())


def _operators(script: Any) -> set[str]:
    """Every operator in a script, that of its modules and of its branches included."""
    graph = script.inlined_graph
    kinds, open_blocks = set(), [graph]
    while open_blocks:
        for node in open_blocks.pop().nodes():
            kinds.add(node.kind())
            open_blocks.extend(node.blocks())
    return kinds


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.') if lines else ''}"
