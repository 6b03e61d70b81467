"""The published gateway: Flask that decodes and resizes a photo and asks a model server by gRPC.

    MODEL_CARD=card.json MODEL_NAME=species BACKEND=127.0.0.1:8500 gunicorn published_gateway:app

Written after the published service's architecture. It takes the photo in the request instead of fetching
an address, speaks to Triton instead of TensorFlow Serving, and resizes to the model's size with PIL's
nearest neighbour, as the published one does; all three make it faster than the original.
"""

import io
import json
import os
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton
from flask import Flask, jsonify, request
from PIL import Image

card = json.loads(Path(os.environ["MODEL_CARD"]).read_text())
size = (card["preprocessing"]["width"], card["preprocessing"]["height"])
client = triton.InferenceServerClient(os.environ["BACKEND"])
app = Flask("gateway")


@app.route("/predict", methods=["POST"])
def predict():
    """Label → probability."""
    image = Image.open(io.BytesIO(request.files["file"].read())).convert("RGB")
    pixels = np.asarray(image.resize(size, Image.Resampling.NEAREST))[np.newaxis]
    tensor = triton.InferInput("images", pixels.shape, "UINT8")
    tensor.set_data_from_numpy(pixels)
    found = client.infer(os.environ["MODEL_NAME"], [tensor]).as_numpy("probabilities")[0]
    return jsonify(dict(zip(card["labels"], found.tolist(), strict=True)))
