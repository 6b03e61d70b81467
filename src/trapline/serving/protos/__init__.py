"""The messages of the gRPC interfaces, in a descriptor pool of their own.

Beside a client that brings the same messages (tensorflow, tritonclient) generated modules would clash with
its copies in the process-wide pool. `scripts/compile_protos.py` makes `protos.binpb` from the .proto files.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

V2, TF, HEALTH = "inference", "tensorflow.serving", "grpc.health.v1"


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    content = (resources.files(__name__) / "protos.binpb").read_bytes()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(content).file:
        pool.Add(file)
    return pool


@cache
def message(package: str, name: str) -> Any:
    """The class of a message: `message(V2, "ModelInferRequest")`."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{package}.{name}"))


def methods(package: str, service: str) -> dict[str, tuple[Any, Any]]:
    """Method name → the classes of its request and its response."""
    descriptor = _pool().FindServiceByName(f"{package}.{service}")
    return {
        method.name: (
            message_factory.GetMessageClass(method.input_type),
            message_factory.GetMessageClass(method.output_type),
        )
        for method in descriptor.methods
    }
