"""Keras as its guide has it: `predict` over `image_dataset_from_directory`, EfficientNetB0 of random weights.

Waits for a line on standard input, predicts all photos once, prints the seconds; again for each line.
usage: keras_prediction.py FOLDER
"""

import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras

folder = sys.argv[1]
model = keras.applications.EfficientNetB0(weights=None, classes=8)


def predict() -> int:
    """All photos once; how many."""
    photos = keras.utils.image_dataset_from_directory(
        folder, labels=None, image_size=(224, 224), batch_size=32, shuffle=False, verbose=False
    )
    return len(model.predict(photos, verbose=0))


count = predict()
print("ready", flush=True)
for _ in sys.stdin:
    started = time.perf_counter()
    assert predict() == count
    print(time.perf_counter() - started, flush=True)
