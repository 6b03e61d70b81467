"""The gRPC server: Open Inference Protocol v2, TensorFlow Serving's services, and health."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError

from trapline.errors import TraplineError
from trapline.models import SIGNATURE
from trapline.serving import protos, tf, v2
from trapline.serving.body import Body
from trapline.serving.refusals import BUSY, INVALID, NOT_FOUND, TOO_SLOW, RefusedError, internal, until
from trapline.serving.service import Service
from trapline.serving.settings import MOST_MESSAGE, MOST_RECEIVED, Settings
from trapline.serving.shelf import VERSION, Served
from trapline.serving.tensors import OUTPUT, probabilities

log = logging.getLogger("trapline.serving")

Call = Callable[[Any, float], Awaitable[Any]]
"""A method: its request, and the event loop's time by which it must be answered."""

_MOST_STREAMS = 64
_PATIENCE_SECONDS = 3.0
_OPEN = frozenset({"Check", "ServerLive", "ServerReady"})
"""Methods that need no token: a probe has none."""

_COUNTED = {"ModelInfer": "v2_grpc", "Predict": "tf_grpc"}
"""Methods that ask about photos, and as which interface they are counted."""

_SERVICES_OF_PROBES = ("", "inference.GRPCInferenceService", "tensorflow.serving.PredictionService")


class GrpcServer:
    """All services on one port."""

    def __init__(self, service: Service, *, share_port: bool = False) -> None:
        settings = service.settings
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", MOST_MESSAGE),
                ("grpc.max_send_message_length", MOST_MESSAGE),
                ("grpc.max_metadata_size", 16 * 2**10),
                ("grpc.max_concurrent_streams", _MOST_STREAMS),
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 10_000),
                ("grpc.max_connection_idle_ms", 300_000),
                # so that clients look their name up again and find servers that have joined since
                ("grpc.max_connection_age_ms", 300_000),
                ("grpc.max_connection_age_grace_ms", round(1000 * settings.deadline) + 5000),
                ("grpc.server_handshake_timeout_ms", 10_000),
                ("grpc.so_reuseport", int(share_port)),
            ],
            maximum_concurrent_rpcs=max(_MOST_STREAMS, settings.queue),
        )
        inlet, calls = _Inlet(), _Calls(service)
        for package, name in (
            (protos.V2, "GRPCInferenceService"),
            (protos.TF, "PredictionService"),
            (protos.TF, "ModelService"),
            (protos.HEALTH, "Health"),
        ):
            self._server.add_generic_rpc_handlers((_handlers(service, inlet, package, name, calls),))
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
        raise port_taken(settings)
    return port


def port_taken(settings: Settings, why: str = "") -> TraplineError:
    """The error of a server that cannot listen for gRPC, and why, if the system says."""
    return TraplineError(
        f"The gRPC port {settings.grpc_port} on {settings.host} cannot be had{why}. "
        "Choose another with --grpc-port, or --no-grpc."
    )


def _handlers(service: Service, inlet: _Inlet, package: str, name: str, calls: _Calls) -> Any:
    """The handlers of one service, each with token, counts and errors around it.

    On the wire a call with one message is a stream of one; taken as a stream, it is received when we ask for
    it and not before.
    """
    handlers = {
        method: grpc.stream_unary_rpc_method_handler(
            _guard(service, inlet, method, request, getattr(calls, method)),
            response_serializer=response.SerializeToString,
        )
        for method, (request, response) in protos.methods(package, name).items()
    }
    return grpc.method_handlers_generic_handler(f"{package}.{name}", handlers)


def _guard(
    service: Service, inlet: _Inlet, method: str, request: Any, call: Call
) -> Callable[[Any, Any], Awaitable[Any]]:
    interface = _COUNTED.get(method)

    async def answered(context: Any) -> Any:
        left = context.time_remaining()
        deadline = service.deadline(None if left is None else max(0.0, left))
        counted = service.telemetry.request(interface) if interface else nullcontext()
        with counted, Body(service.held) as body:
            if method not in _OPEN:
                shown = dict(context.invocation_metadata() or ()).get("authorization")
                service.check_token(shown if isinstance(shown, str) else None)
            if interface:
                service.engine.gate.check()
            content = await inlet.receive(context, deadline)
            body.hold(2 * len(content))  # as it came, and what is made of it
            try:
                asked = request.FromString(content)
            except DecodeError:
                raise RefusedError(INVALID, f"The message is no {request.DESCRIPTOR.name}.") from None
            del content  # the parsed message has its own copy
            return await call(asked, deadline)

    async def guarded(_: Any, context: Any) -> Any:
        try:
            return await answered(context)
        except RefusedError as error:
            refusal = error.alone()
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("gRPC %s failed", method)
            refusal = internal()
        if refusal.retry_after is not None:
            context.set_trailing_metadata((("retry-after", str(refusal.retry_after)),))
        await context.abort(grpc.StatusCode[refusal.kind.grpc], str(refusal))

    return guarded


class _Inlet:
    """Through which messages come: a few at a time, as their lengths are not known before they are there.

    When others wait, those that have been coming for longest must be whole within some seconds: so clients
    that send nothing keep nobody out for long.
    """

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(MOST_RECEIVED)
        self._coming: list[asyncio.Timeout] = []

    async def receive(self, context: Any, deadline: float) -> bytes:
        """The one message of a call.

        Raises:
            RefusedError: there is none, it came too slowly, or no place became free for it.
        """
        if self._slots.locked() and self._coming:
            soon = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
            longest = self._coming.pop(0)
            if not longest.expired():
                longest.reschedule(min(soon, longest.when() or soon))
        busy = RefusedError(BUSY, "Too much is being uploaded now. Try again.", retry_after=1)
        async with until(deadline, busy):
            await self._slots.acquire()
        try:
            async with until(deadline, RefusedError(TOO_SLOW, "The request came too slowly.")) as coming:
                self._coming.append(coming)
                content = await context.read()
        finally:
            self._slots.release()
            if coming in self._coming:
                self._coming.remove(coming)
        if content is grpc.aio.EOF:
            raise RefusedError(INVALID, "The call has no message.")
        return bytes(content)


class _Calls:
    """The methods of all services, under their names there: `inference.GRPCInferenceService`,
    `tensorflow.serving.PredictionService` and `ModelService`, and for probes `grpc.health.v1.Health`.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def ServerLive(self, _: Any, __: float) -> Any:
        return _v2("ServerLiveResponse", live=True)

    async def ServerReady(self, _: Any, __: float) -> Any:
        return _v2("ServerReadyResponse", ready=await self._service.ready())

    async def ModelReady(self, request: Any, _: float) -> Any:
        return _v2("ModelReadyResponse", ready=await self._service.ready(request.name, request.version))

    async def ServerMetadata(self, _: Any, __: float) -> Any:
        return _v2("ServerMetadataResponse", **v2.SERVER)

    async def ModelMetadata(self, request: Any, _: float) -> Any:
        served = self._service.shelf.get(request.name, request.version)
        return _v2("ModelMetadataResponse", **v2.metadata(served))

    async def ModelInfer(self, request: Any, deadline: float) -> Any:
        service = self._service
        served = service.shelf.get(request.model_name, request.model_version)
        v2.check_outputs([output.name for output in request.outputs])
        event = _event(request.parameters)
        card = served.model.card
        sources = await service.convert(lambda: v2.as_sources(_tensors(request), card), deadline)
        rows = probabilities(await service.answers(served, sources, deadline, event=event))
        response = _v2(
            "ModelInferResponse",
            model_name=served.name,
            model_version=VERSION,
            id=request.id,
            raw_output_contents=[rows.astype("<f4").tobytes()],
        )
        response.outputs.add(name=OUTPUT, datatype="FP32", shape=rows.shape)
        response.parameters["fingerprint"].string_param = served.model.fingerprint
        return response

    async def Predict(self, request: Any, deadline: float) -> Any:
        service, signature = self._service, request.model_spec.signature_name
        served = self._named(request)
        asked = tf.find_signature(signature, service.settings.tf)
        outputs = tf.answered_outputs(request.output_filter, asked)
        tensor = tf.only_input(request.inputs, asked)
        sources = await service.convert(lambda: tf.from_tensor(tensor, served, asked), deadline)
        rows = probabilities(await service.answers(served, sources, deadline))
        response = _about(served, "PredictResponse", signature or SIGNATURE)
        for name in outputs:
            tf.state_form(response.outputs[name], "FP32", rows.shape)
            # clients read float_val, as TensorFlow Serving fills it, and not tensor_content
            response.outputs[name].float_val.extend(rows.ravel().tolist())
        return response

    async def GetModelMetadata(self, request: Any, _: float) -> Any:
        served = self._named(request)
        for field in request.metadata_field:
            if field != "signature_def":
                raise RefusedError(NOT_FOUND, f"There is no field '{field[:50]}', only 'signature_def'.")
        response = _about(served, "GetModelMetadataResponse")
        response.metadata["signature_def"].Pack(tf.signature_map(served, self._service.settings.tf))
        return response

    async def GetModelStatus(self, request: Any, _: float) -> Any:
        self._named(request)
        response = protos.message(protos.TF, "GetModelStatusResponse")()
        response.model_version_status.add(version=int(VERSION), state=30).status.error_code = 0
        return response

    async def Check(self, request: Any, _: float) -> Any:
        if request.service not in _SERVICES_OF_PROBES:
            raise RefusedError(NOT_FOUND, "There is no such service.")
        return protos.message(protos.HEALTH, "HealthCheckResponse")(
            status=1 if await self._service.ready() else 2
        )

    def _named(self, request: Any) -> Served:
        """The model that a request of TensorFlow Serving names."""
        spec = request.model_spec
        version = str(spec.version.value) if spec.HasField("version") else spec.version_label
        return self._service.shelf.get(spec.name, version)


def _v2(message: str, /, **values: Any) -> Any:
    return protos.message(protos.V2, message)(**values)


def _about(served: Served, message: str, signature: str = "") -> Any:
    """A response of TensorFlow Serving, which says of which model it is."""
    response = protos.message(protos.TF, message)()
    spec = response.model_spec
    spec.name, spec.signature_name, spec.version.value = served.name, signature, int(VERSION)
    return response


def _event(parameters: Any) -> bool:
    if "event" not in parameters:
        return False
    if parameters["event"].WhichOneof("parameter_choice") != "bool_param":
        raise RefusedError(INVALID, "The parameter 'event' is true or false, as bool_param.")
    return bool(parameters["event"].bool_param)


def _tensors(request: Any) -> list[v2.RequestTensor]:
    """The inputs of a ModelInferRequest, from either of the two places that they may stand in."""
    raw = request.raw_input_contents
    tensors = []
    for index, one in enumerate(request.inputs):
        shape = tuple(one.shape)
        if index < len(raw):
            tensors.append(v2.from_raw(one.name, one.datatype, shape, raw[index]))
        elif one.datatype == "BYTES":
            tensors.append(v2.RequestTensor(one.name, one.datatype, shape, one.contents.bytes_contents))
        else:
            numbers = np.array(one.contents.uint_contents, np.uint32)
            tensors.append(v2.from_json(one.name, one.datatype, shape, numbers))
    return tensors
