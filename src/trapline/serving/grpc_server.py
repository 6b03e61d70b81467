"""The gRPC server: Open Inference Protocol v2, TensorFlow Serving's services, and health."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import numpy as np

from trapline.errors import TraplineError
from trapline.serving import protos, tf, v2
from trapline.serving.refusals import NOT_FOUND, RefusedError, internal
from trapline.serving.service import Service
from trapline.serving.settings import MOST_BODY, Settings
from trapline.serving.shelf import VERSION, Served
from trapline.serving.tensors import probabilities

log = logging.getLogger("trapline.serving")

Call = Callable[[Any, Any], Awaitable[Any]]
_MOST_STREAMS = 64
_OPEN = frozenset({"Check", "ServerLive", "ServerReady"})
"""Methods that need no token: a probe has none."""


class GrpcServer:
    """All services on one port."""

    def __init__(self, service: Service, *, share_port: bool = False) -> None:
        settings = service.settings
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", MOST_BODY),
                ("grpc.max_send_message_length", MOST_BODY),
                ("grpc.max_metadata_size", 16 * 2**10),
                ("grpc.max_concurrent_streams", _MOST_STREAMS),
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 10_000),
                ("grpc.max_connection_idle_ms", 300_000),
                ("grpc.server_handshake_timeout_ms", 10_000),
                ("grpc.so_reuseport", int(share_port)),
            ],
            # Whoever uploads holds memory before our queue sees the photo; so calls are counted here as well.
            maximum_concurrent_rpcs=max(_MOST_STREAMS, settings.queue),
        )
        for package, name, calls in (
            (protos.V2, "GRPCInferenceService", _V2(service).calls()),
            (protos.TF, "PredictionService", _TensorFlow(service).calls()),
            (protos.TF, "ModelService", _TensorFlow(service).calls()),
            (protos.HEALTH, "Health", _Health(service).calls()),
        ):
            self._server.add_generic_rpc_handlers((_handlers(service, package, name, calls),))
        self.port = _bind(self._server, settings)

    async def start(self) -> None:
        """Begin to answer."""
        await self._server.start()

    async def stop(self, seconds: float) -> None:
        """Take no new calls, give running ones so long."""
        await self._server.stop(seconds)


def _bind(server: grpc.aio.Server, settings: Settings) -> int:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        port = int(server.add_insecure_port(f"{host}:{settings.grpc_port}"))
    except RuntimeError:
        port = 0
    if not port:
        raise TraplineError(
            f"The gRPC port {settings.grpc_port} on {settings.host} cannot be had. "
            "Choose another with --grpc-port, or --no-grpc."
        )
    return port


def _handlers(service: Service, package: str, name: str, calls: dict[str, Call]) -> Any:
    """The handlers of one service, each with token, counts and errors around it."""
    found = {}
    for method, (request, response) in protos.methods(package, name).items():
        found[method] = grpc.unary_unary_rpc_method_handler(
            _guarded(service, method, calls[method]),
            request_deserializer=request.FromString,
            response_serializer=response.SerializeToString,
        )
    return grpc.method_handlers_generic_handler(f"{package}.{name}", found)


def _guarded(service: Service, method: str, call: Call) -> Call:
    async def guarded(request: Any, context: Any) -> Any:
        try:
            if method not in _OPEN:
                shown = dict(context.invocation_metadata() or ()).get("authorization")
                service.check_token(shown if isinstance(shown, str) else None)
            return await call(request, context)
        except RefusedError as refusal:
            await _abort(context, refusal)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("gRPC %s failed", method)
            await _abort(context, internal())

    return guarded


async def _abort(context: Any, refusal: RefusedError) -> None:
    if refusal.retry_after is not None:
        context.set_trailing_metadata((("retry-after", str(refusal.retry_after)),))
    await context.abort(grpc.StatusCode[refusal.kind.grpc], str(refusal))


def _deadline(service: Service, context: Any) -> float:
    left = context.time_remaining()
    return service.deadline(None if left is None else max(0.0, left))


class _V2:
    """`inference.GRPCInferenceService`."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def calls(self) -> dict[str, Call]:
        return {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server,
            "ModelMetadata": self._model,
            "ModelInfer": self._infer,
        }

    async def _live(self, _: Any, __: Any) -> Any:
        return _v2("ServerLiveResponse", live=True)

    async def _ready(self, _: Any, __: Any) -> Any:
        return _v2("ServerReadyResponse", ready=await self._service.ready())

    async def _model_ready(self, request: Any, _: Any) -> Any:
        served = self._service.shelf.get(request.name, request.version)
        ready = not self._service.shelf.draining and await self._service.engine.ready(served)
        return _v2("ModelReadyResponse", ready=ready)

    async def _server(self, _: Any, __: Any) -> Any:
        return _v2("ServerMetadataResponse", **v2.SERVER)

    async def _model(self, request: Any, _: Any) -> Any:
        return _v2(
            "ModelMetadataResponse", **v2.metadata(self._service.shelf.get(request.name, request.version))
        )

    async def _infer(self, request: Any, context: Any) -> Any:
        service, deadline = self._service, _deadline(self._service, context)
        with service.telemetry.request("v2_grpc"):
            served = service.shelf.get(request.model_name, request.model_version)
            v2.check_outputs([output.name for output in request.outputs])
            event = "event" in request.parameters and request.parameters["event"].bool_param
            found = await v2.infer(service, served, _tensors(request), deadline, event=event)
        response = _v2(
            "ModelInferResponse",
            model_name=served.name,
            model_version=VERSION,
            id=request.id,
            raw_output_contents=[found.astype("<f4").tobytes()],
        )
        response.outputs.add(name="probabilities", datatype="FP32", shape=found.shape)
        return response


def _v2(message: str, /, **values: Any) -> Any:
    return protos.message(protos.V2, message)(**values)


def _tensors(request: Any) -> list[v2.Tensor]:
    """The inputs of a ModelInferRequest, from either of the two places that they may stand in."""
    raw = request.raw_input_contents
    found = []
    for place, one in enumerate(request.inputs):
        shape = tuple(one.shape)
        if place < len(raw):
            found.append(v2.from_raw(one.name, one.datatype, shape, raw[place]))
        elif one.datatype == "BYTES":
            found.append(v2.Tensor(one.name, one.datatype, shape, one.contents.bytes_contents))
        else:
            numbers = np.array(one.contents.uint_contents, np.uint32)
            found.append(v2.from_json(one.name, one.datatype, shape, numbers))
    return found


class _TensorFlow:
    """`tensorflow.serving.PredictionService` and `ModelService`."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def calls(self) -> dict[str, Call]:
        return {
            "Predict": self._predict,
            "GetModelMetadata": self._metadata,
            "GetModelStatus": self._status,
        }

    async def _predict(self, request: Any, context: Any) -> Any:
        service, deadline = self._service, _deadline(self._service, context)
        output = service.settings.tf_output
        with service.telemetry.request("tf_grpc"):
            served = self._served(request)
            tf.check_signature(request.model_spec.signature_name)
            tf.check_filter(list(request.output_filter), output)
            sources = tf.from_tensor(tf.only_input(request.inputs), served)
            found = probabilities(await service.answers(served, sources, deadline))
        response = protos.message(protos.TF, "PredictResponse")()
        self._specify(response.model_spec, served, request.model_spec.signature_name or "serving_default")
        tensor = response.outputs[request.output_filter[0] if request.output_filter else output]
        tensor.dtype = 1  # DT_FLOAT
        for side in found.shape:
            tensor.tensor_shape.dim.add(size=side)
        tensor.float_val.extend(
            found.ravel().tolist()
        )  # clients read float_val, as TensorFlow Serving fills it
        return response

    async def _metadata(self, request: Any, _: Any) -> Any:
        served = self._served(request)
        for field in request.metadata_field:
            if field != "signature_def":
                raise RefusedError(NOT_FOUND, f"There is no field '{field[:50]}', only 'signature_def'.")
        response = protos.message(protos.TF, "GetModelMetadataResponse")()
        self._specify(response.model_spec, served, "")
        response.metadata["signature_def"].Pack(tf.signature_map(served, self._service.settings.tf_output))
        return response

    async def _status(self, request: Any, _: Any) -> Any:
        self._served(request)
        response = protos.message(protos.TF, "GetModelStatusResponse")()
        response.model_version_status.add(version=int(VERSION), state=30).status.error_code = 0
        return response

    def _served(self, request: Any) -> Served:
        spec = request.model_spec
        version = str(spec.version.value) if spec.HasField("version") else spec.version_label
        return self._service.shelf.get(spec.name, version)

    def _specify(self, spec: Any, served: Served, signature: str) -> None:
        spec.name, spec.signature_name = served.name, signature
        spec.version.value = int(VERSION)


class _Health:
    """`grpc.health.v1.Health`, for probes."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def calls(self) -> dict[str, Call]:
        return {
            "Check": self._check,
        }

    async def _check(self, request: Any, _: Any) -> Any:
        if request.service not in (
            "",
            "inference.GRPCInferenceService",
            "tensorflow.serving.PredictionService",
        ):
            raise RefusedError(NOT_FOUND, "There is no such service.")
        status = 1 if await self._service.ready() else 2
        return protos.message(protos.HEALTH, "HealthCheckResponse")(status=status)
