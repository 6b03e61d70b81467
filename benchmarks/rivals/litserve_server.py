"""The same model by LitServe: an upload is decoded, resized and run on ONNX Runtime.

python litserve_server.py MODEL PORT WORKERS
"""

import io
import json
import sys

import litserve
import numpy as np
import onnxruntime
from fastapi import UploadFile
from PIL import Image


class Species(litserve.LitAPI):
    """One photo a request; each worker has its own network of one thread."""

    def setup(self, device):
        """Open the model."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
        self.card = json.loads(self.session.get_modelmeta().custom_metadata_map["trapline_card"])
        self.size = (self.card["preprocessing"]["width"], self.card["preprocessing"]["height"])

    def decode_request(self, request):
        """As the model file does: a JPEG at a reduced scale, then an antialiased filter."""
        upload = request["file"] if not isinstance(request, UploadFile) else request
        image = Image.open(io.BytesIO(upload.file.read()))
        image.draft("RGB", (2 * self.size[0], 2 * self.size[1]))
        return np.asarray(image.convert("RGB").resize(self.size, Image.Resampling.BICUBIC))[np.newaxis]

    def predict(self, pixels):
        """Run the network."""
        return self.session.run(["probabilities"], {"images": pixels})[0][0]

    def encode_response(self, output):
        """Label → probability."""
        return dict(zip(self.card["labels"], output.tolist(), strict=True))


if __name__ == "__main__":
    api = Species(api_path="/predict")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=int(sys.argv[3]), timeout=60)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", generate_client_file=False)
