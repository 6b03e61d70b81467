"""What runs a network: ONNX Runtime on the processor or an accelerator, or OpenVINO.

All of them compute in float32 (a file in eight bits in eight bits), so that answers depend on the model file
and not on the machine: what a runtime would make faster by rounding unasked is turned off.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from trapline.errors import DataError, UsageError, require
from trapline.models.halting import Halt

OPENVINO = "openvino"

_PROVIDERS: dict[str, tuple[str, dict[str, str]]] = {
    "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),  # TF32 keeps 10 bits of a factor's 23
    "directml": ("DmlExecutionProvider", {}),
    "coreml": ("CoreMLExecutionProvider", {"ModelFormat": "MLProgram", "MLComputeUnits": "CPUAndGPU"}),
    "cpu": ("CPUExecutionProvider", {}),
}
_AUTOMATIC = ("cuda", "directml", "cpu")
"""The first that is there. Not CoreML: every ONNX Runtime for macOS has it, and it may round to float16."""

_SHORT_OF_MEMORY = re.compile(
    r"bad_alloc|[Ff]ailed to allocate|out of memory|ALLOC_FAILED|not enough memory|bad allocation"
)

RUNTIMES = ("auto", *_PROVIDERS, OPENVINO)
"""The names that `ModelFile` takes for `runtime`."""


@dataclass(frozen=True)
class Value:
    """An input or output of a graph: its name, ONNX type (`tensor(uint8)`) and shape, None where free."""

    name: str
    type: str
    shape: tuple[int | None, ...]


class Session(Protocol):
    """An opened graph.

    Attributes:
        runtime: what runs it, one of `RUNTIMES` but `auto`.
        metadata: of the ONNX file.
        inputs: of the graph.
        outputs: of the graph.
    """

    runtime: str
    metadata: Mapping[str, str]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    def run(
        self, names: Sequence[str], feeds: Mapping[str, npt.NDArray[Any]], halt: Halt
    ) -> list[npt.NDArray[Any]]:
        """The outputs `names`; safe to call from several threads.

        Raises:
            HaltedError: `halt` came first.
        """
        ...


def memory_is_short(error: Exception) -> bool:
    """Whether a runtime's complaint is about memory; they have no type of their own for that."""
    return isinstance(error, MemoryError) or bool(_SHORT_OF_MEMORY.search(str(error)))


def open_session(content: bytes, path: Path, runtime: str = "auto", threads: int | None = None) -> Session:
    """Open an ONNX file.

    Args:
        content: of the file.
        path: named in messages.
        runtime: one of `RUNTIMES`.
        threads: the network runs on; None for one a core.

    Raises:
        UsageError: no such runtime, or it is not on this machine.
        MissingExtraError: OpenVINO is not installed.
        DataError: the content is no ONNX model, or one that the runtime cannot run.
    """
    if runtime not in RUNTIMES:
        raise UsageError(f"There is no runtime '{runtime}'; there are {', '.join(RUNTIMES)}.")
    if runtime == OPENVINO:
        return _OpenVino(content, path, threads)
    return _OnnxRuntime(content, path, runtime, threads)


def is_present(runtime: str) -> bool:
    """Whether a runtime of that name can run a network on this machine.

    Raises:
        UsageError: there is no such runtime.
    """
    if runtime not in RUNTIMES:
        raise UsageError(f"There is no runtime '{runtime}'; there are {', '.join(RUNTIMES)}.")
    if runtime == OPENVINO:
        return find_spec("openvino") is not None
    import onnxruntime

    return runtime == "auto" or _PROVIDERS[runtime][0] in onnxruntime.get_available_providers()


class _OnnxRuntime:
    """ONNX Runtime with one of its execution providers."""

    def __init__(self, content: bytes, path: Path, runtime: str, threads: int | None) -> None:
        # ONNX Runtime 1.29+ writes telemetry unless told not to
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        self.runtime = _present(runtime, onnxruntime.get_available_providers())
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Threads that wait busily take the cores from those that decode: 33 against 27 ms of processor time.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if threads is not None:
            options.intra_op_num_threads = threads
        providers = [_PROVIDERS[name] for name in dict.fromkeys((self.runtime, "cpu"))]
        try:
            session = onnxruntime.InferenceSession(
                content,
                options,
                providers=providers,
                enable_fallback=0,  # else it prints and tries again
            )
            self.metadata: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
            self.inputs = tuple(_value(item) for item in session.get_inputs())
            self.outputs = tuple(_value(item) for item in session.get_outputs())
        except Exception as error:  # its errors have no common base but Exception
            raise DataError(f"{path} cannot be opened as an ONNX model: {error}") from error
        if session.get_providers()[0] != providers[0][0]:
            raise UsageError(
                f"ONNX Runtime cannot start '{self.runtime}' on this machine: its driver or libraries are "
                "missing. Use --runtime cpu."
            )
        self._session = session

    def run(
        self, names: Sequence[str], feeds: Mapping[str, npt.NDArray[Any]], halt: Halt
    ) -> list[npt.NDArray[Any]]:
        """See `Session`."""
        import onnxruntime

        options = onnxruntime.RunOptions()
        with halt.over(lambda: setattr(options, "terminate", True)):
            outputs: list[npt.NDArray[Any]] = self._session.run(list(names), dict(feeds), options)
        return outputs


def _present(runtime: str, available: Sequence[str]) -> str:
    if runtime == "auto":
        return next(name for name in _AUTOMATIC if _PROVIDERS[name][0] in available)
    if _PROVIDERS[runtime][0] not in available:
        have = [name for name, (provider, _) in _PROVIDERS.items() if provider in available]
        raise UsageError(
            f"The installed ONNX Runtime cannot use '{runtime}'; it has {', '.join(have)}. CUDA needs "
            "the package onnxruntime-gpu, DirectML onnxruntime-directml, in place of onnxruntime."
        )
    return runtime


def _value(item: Any) -> Value:
    return Value(item.name, item.type, tuple(side if isinstance(side, int) else None for side in item.shape))


class _OpenVino:
    """OpenVINO on the processor."""

    runtime = OPENVINO

    def __init__(self, content: bytes, path: Path, threads: int | None) -> None:
        openvino = require("openvino", "openvino", "Running a model with OpenVINO")
        import onnx

        # Left to itself it computes in bfloat16 where the processor can: other answers on other machines.
        properties: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            properties["INFERENCE_NUM_THREADS"] = threads
        try:
            self.metadata: Mapping[str, str] = {
                item.key: item.value for item in onnx.load_from_string(content).metadata_props
            }
            core = openvino.Core()
            self._compiled = core.compile_model(core.read_model(content), "CPU", properties)
        except Exception as error:  # its errors have no common base but Exception
            raise DataError(f"{path} cannot be opened with OpenVINO: {error}") from error
        self.inputs = tuple(_port(port) for port in self._compiled.inputs)
        self.outputs = tuple(_port(port) for port in self._compiled.outputs)
        self._requests = threading.local()  # a request serves one caller at a time

    def run(
        self, names: Sequence[str], feeds: Mapping[str, npt.NDArray[Any]], halt: Halt
    ) -> list[npt.NDArray[Any]]:
        """See `Session`."""
        if not hasattr(self._requests, "own"):
            self._requests.own = self._compiled.create_infer_request()
        request = self._requests.own
        with halt.over(request.cancel):
            request.infer(dict(feeds))
        return [np.array(request.get_tensor(name).data) for name in names]  # its memory is used again


_TYPES = {
    "u8": "tensor(uint8)",
    "f16": "tensor(float16)",
    "f32": "tensor(float)",
    "i32": "tensor(int32)",
    "i64": "tensor(int64)",
}


def _port(port: Any) -> Value:
    kind = port.element_type.get_type_name()
    shape = tuple(None if side.is_dynamic else side.get_length() for side in port.partial_shape)
    return Value(port.any_name, _TYPES.get(kind, kind), shape)
