"""A model server elsewhere that computes for us: the gateway's other side."""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import numpy as np

from trapline.models import EVERYTHING, mask_flawed
from trapline.serving import protos, tf
from trapline.serving.answers import Answer, Floats, Pixels, check_answer
from trapline.serving.engine import Engine
from trapline.serving.lanes import Lanes, Source
from trapline.serving.refusals import BACKEND, BUSY, NOT_READY, RefusedError, too_late, until
from trapline.serving.settings import MOST_MESSAGE, Settings
from trapline.serving.shelf import Served
from trapline.serving.tensors import OUTPUT, PIXELS

_READY_SECONDS = 2.0
_BELIEVED_SECONDS = 10.0
"""For which a model server is believed to have the model that it had when asked."""

_BESIDE = 2**16
"""Bytes of a message beside its pixels, at most."""

_EVENLY = '{"loadBalancingConfig": [{"round_robin": {}}]}'
"""Requests go to all servers that the name stands for in turn, not all to the first."""


@dataclass(frozen=True)
class Stated:
    """What the model server says of a model of its own.

    Attributes:
        labels: in the order of its probabilities, as the JSON of a list; None if it says nothing of them.
        fingerprint: of its model file; None if it has none.
    """

    labels: str | None = None
    fingerprint: str | None = None


class Speaker(ABC):
    """Speaks one protocol to the model server."""

    @abstractmethod
    async def infer(self, name: str, pixels: Pixels, seconds: float) -> tuple[Floats, str | None]:
        """Probabilities, float32 [N, labels], of uint8 [N, height, width, 3]; and the fingerprint of the
        model that gave them, if the server states it.
        """

    async def read_stated(self, name: str, seconds: float) -> Stated:
        """What the server says of that model; nothing where the protocol has no place for it."""
        return Stated()

    @abstractmethod
    async def ready(self, name: str, seconds: float) -> bool:
        """Whether the server has that model ready."""


class V2(Speaker):
    """The Open Inference Protocol: NVIDIA Triton, KServe, or another `trapline serve`."""

    def __init__(self, channel: grpc.aio.Channel, token: str | None) -> None:
        self._infer = _call(channel, token, protos.V2, "GRPCInferenceService", "ModelInfer")
        self._ready = _call(channel, token, protos.V2, "GRPCInferenceService", "ModelReady")
        self._metadata = _call(channel, token, protos.V2, "GRPCInferenceService", "ModelMetadata")

    async def infer(self, name: str, pixels: Pixels, seconds: float) -> tuple[Floats, str | None]:
        """See `Speaker`."""
        request = protos.message(protos.V2, "ModelInferRequest")(
            model_name=name, raw_input_contents=[pixels.tobytes()]
        )
        request.inputs.add(name=PIXELS, datatype="UINT8", shape=pixels.shape)
        request.outputs.add(name=OUTPUT)
        response = await self._infer(request, timeout=seconds)
        for index, output in enumerate(response.outputs):
            if output.name == OUTPUT and output.datatype == "FP32":
                raw = response.raw_output_contents[index] if response.raw_output_contents else b""
                rows = _rows(raw, output.contents.fp32_contents, tuple(output.shape))
                return rows, response.parameters["fingerprint"].string_param or None
        raise RefusedError(BACKEND, "The model server's answer has no FP32 output 'probabilities'.")

    async def ready(self, name: str, seconds: float) -> bool:
        """See `Speaker`."""
        request = protos.message(protos.V2, "ModelReadyRequest")(name=name)
        return bool((await self._ready(request, timeout=seconds)).ready)

    async def read_stated(self, name: str, seconds: float) -> Stated:
        """See `Speaker`; our own `properties`, which other servers leave out."""
        request = protos.message(protos.V2, "ModelMetadataRequest")(name=name)
        try:
            properties = (await self._metadata(request, timeout=seconds)).properties
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return Stated()
            raise
        return Stated(properties.get("labels"), properties.get("fingerprint"))


class TensorFlow(Speaker):
    """TensorFlow Serving's `Predict`, on what `trapline export --format saved-model` writes."""

    def __init__(self, channel: grpc.aio.Channel, token: str | None) -> None:
        self._predict = _call(channel, token, protos.TF, "PredictionService", "Predict")
        self._status = _call(channel, token, protos.TF, "ModelService", "GetModelStatus")

    async def infer(self, name: str, pixels: Pixels, seconds: float) -> tuple[Floats, str | None]:
        """See `Speaker`."""
        request = protos.message(protos.TF, "PredictRequest")(output_filter=[OUTPUT])
        request.model_spec.name = name
        request.model_spec.signature_name = EVERYTHING  # `serving_default` may have the names of others
        tensor = request.inputs[PIXELS]
        tf.state_form(tensor, "UINT8", pixels.shape)
        tensor.tensor_content = pixels.tobytes()
        response = await self._predict(request, timeout=seconds)
        if OUTPUT not in response.outputs:
            raise RefusedError(BACKEND, "The model server's answer has no output 'probabilities'.")
        output = response.outputs[OUTPUT]
        shape = tuple(dim.size for dim in output.tensor_shape.dim)
        return _rows(output.tensor_content, output.float_val, shape), None

    async def ready(self, name: str, seconds: float) -> bool:
        """See `Speaker`."""
        request = protos.message(protos.TF, "GetModelStatusRequest")()
        request.model_spec.name = name
        versions = (await self._status(request, timeout=seconds)).model_version_status
        return any(version.state == 30 for version in versions)  # AVAILABLE


def _call(channel: grpc.aio.Channel, token: str | None, package: str, service: str, method: str) -> Any:
    request, response = protos.methods(package, service)[method]
    call = channel.unary_unary(
        f"/{package}.{service}/{method}",
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )
    return partial(call, metadata=(("authorization", f"Bearer {token}"),)) if token else call


def _rows(raw: bytes, numbers: Sequence[float], shape: tuple[int, ...]) -> Floats:
    """A tensor, float32, from either of the two places that its values may stand in."""
    values = np.frombuffer(raw, "<f4") if raw else np.array(numbers, np.float32)
    if len(shape) != 2 or values.size != np.prod(shape):
        raise RefusedError(BACKEND, f"The model server's probabilities have the shape {list(shape)}.")
    return values.reshape(shape).astype(np.float32)


class GatewayEngine(Engine):
    """Decodes here, computes there, after having seen that the model there has the labels of the one here."""

    def __init__(self, settings: Settings, lanes: Lanes) -> None:
        assert settings.backend is not None
        super().__init__(lanes, settings.queue)
        self._channel = grpc.aio.insecure_channel(
            settings.backend,
            options=[
                ("grpc.max_send_message_length", MOST_MESSAGE),
                ("grpc.max_receive_message_length", MOST_MESSAGE),
                ("grpc.service_config", _EVENLY),
            ],
        )
        speak = V2 if settings.backend_protocol == "v2" else TensorFlow
        self._speaker: Speaker = speak(self._channel, settings.backend_token)
        self._stated: dict[str, tuple[float, Stated]] = {}  # and until when it is believed

    async def answers(self, served: Served, sources: Sequence[Source], deadline: float) -> list[Answer]:
        """See `Engine`."""
        started = time.monotonic()
        with self.gate.admit(len(sources)):
            work = [self._lanes.run(self._lanes.view, one, served, deadline) for one in sources]
            async with until(deadline):
                views = await asyncio.gather(*work)
            readable = [view.pixels for view in views if view.pixels is not None]
            rows = iter(
                [row for part in _messages(readable) for row in await self._compute(served, part, deadline)]
            )
            self.gate.took((time.monotonic() - started) / len(sources))
            return [check_answer(view, None if view.pixels is None else next(rows)) for view in views]

    async def _compute(self, served: Served, pixels: Pixels, deadline: float) -> Floats:
        try:
            known = await self._agree(served, _left(deadline))
            rows, fingerprint = await self._speaker.infer(served.name, pixels, _left(deadline))
            if fingerprint not in (None, known.fingerprint):  # replaced there since
                self._stated.pop(served.name, None)
                known = await self._agree(served, _left(deadline))
        except grpc.aio.AioRpcError as error:
            raise _refusal(error) from error
        except (ValueError, IndexError) as error:  # numbers that are cut, or tensors that are announced only
            raise RefusedError(BACKEND, "The model server's answer cannot be read.") from error
        if fingerprint not in (None, known.fingerprint):
            raise RefusedError(BACKEND, "The model server is changing its model. Try again.", retry_after=1)
        wanted = (len(pixels), len(served.model.card.labels))
        if rows.shape != wanted:
            raise RefusedError(
                BACKEND,
                f"The model server answered {list(rows.shape)} numbers and not {list(wanted)}: "
                f"it does not serve the model that '{served.name}' is here.",
            )
        return mask_flawed(rows, served.model.card.task)

    async def _agree(self, served: Served, seconds: float) -> Stated:
        """What the model server says of its model; asked again after `_BELIEVED_SECONDS`.

        Raises:
            RefusedError: its labels are not those of the model here.
        """
        now = asyncio.get_running_loop().time()
        last, stated = self._stated.get(served.name, (now, Stated()))
        if last <= now:
            stated = await self._speaker.read_stated(served.name, seconds)
            self._stated[served.name] = now + _BELIEVED_SECONDS, stated
        here = json.dumps(served.model.card.labels)
        if stated.labels is not None and stated.labels != here:
            raise RefusedError(
                BACKEND,
                f"The model server's '{served.name}' is another model than the file here: its labels are "
                f"{_cut(stated.labels)} there and {_cut(here)} here. Give both the same model file.",
            )
        return stated

    async def check_ready(self, served: Served) -> None:
        """See `Engine`."""
        await super().check_ready(served)
        try:
            if not await self._speaker.ready(served.name, _READY_SECONDS):
                raise _not_ready(f"The model server has no model '{served.name}' ready.")
            await self._agree(served, _READY_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise _not_ready(
                f"The model server does not say that it is ready: {error.code().name}."
            ) from error
        except RefusedError as refusal:
            raise _not_ready(str(refusal)) from refusal

    def says(self, served: Served) -> dict[str, Any]:
        """See `Engine`: `computed_by`, the fingerprint of the model there, or None if it states none."""
        _, stated = self._stated.get(served.name, (0.0, Stated()))
        return {"computed_by": stated.fingerprint}

    async def close(self) -> bool:
        """See `Engine`."""
        await self._channel.close()
        return await super().close()


def _messages(pixels: Sequence[Pixels]) -> Iterator[Pixels]:
    """The photos stacked, uint8 [N, height, width, 3], as many at a time as one message may hold."""
    if pixels:
        together = max(1, (MOST_MESSAGE - _BESIDE) // pixels[0].nbytes)
        for first in range(0, len(pixels), together):
            yield np.stack(pixels[first : first + together])


def _cut(text: str, most: int = 200) -> str:
    return text if len(text) <= most else text[:most] + " …"


def _left(deadline: float) -> float:
    seconds = deadline - asyncio.get_running_loop().time()
    if seconds <= 0:
        raise too_late()
    return seconds


def _not_ready(why: str) -> RefusedError:
    return RefusedError(NOT_READY, why, retry_after=1)


def _refusal(error: grpc.aio.AioRpcError) -> RefusedError:
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return too_late()
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return RefusedError(BUSY, "The model server is busy. Try again.", retry_after=1)
    details = (error.details() or "")[:200]
    return RefusedError(BACKEND, f"The model server answered {error.code().name}: {details}", retry_after=1)
