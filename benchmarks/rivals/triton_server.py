"""A real NVIDIA Triton (from the nvidia-pytriton wheel) that serves a model file's network.

    LD_LIBRARY_PATH=<folder of libpython> python triton_server.py MODEL NAME HTTP_PORT GRPC_PORT INSTANCES

Triton's Python backend runs it on ONNX Runtime with one thread an instance.
"""

import json
import sys

import numpy as np
import onnxruntime
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

model, name, http_port, grpc_port, instances = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
card = json.loads(session.get_modelmeta().custom_metadata_map["trapline_card"])
size = card["preprocessing"]


def infer(requests):
    """Run each request as it comes."""
    return [
        {"probabilities": session.run(["probabilities"], {"images": request.data["images"]})[0]}
        for request in requests
    ]


ports = TritonConfig(http_port=int(http_port), grpc_port=int(grpc_port), allow_metrics=False)
with Triton(config=ports) as triton:
    triton.bind(
        name,
        infer_func=[infer] * int(instances),
        inputs=[Tensor(name="images", dtype=np.uint8, shape=(size["height"], size["width"], 3))],
        outputs=[Tensor(name="probabilities", dtype=np.float32, shape=(len(card["labels"]),))],
        config=ModelConfig(max_batch_size=64, batcher=DynamicBatcher(max_queue_delay_microseconds=0)),
    )
    print("ready", flush=True)
    triton.serve()
