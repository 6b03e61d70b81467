"""Recipe T's training as published: Keras, `image_dataset_from_directory`, the small CNN, Adam 1e-4.

Run in an environment of its own with TensorFlow; `train.py` does so. Prints one line of JSON.
usage: published_small_cnn.py CLASS_TREE EPOCHS
"""

import json
import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
started = time.perf_counter()
import keras  # noqa: E402

tree, epochs = sys.argv[1], int(sys.argv[2])
size, batch, dropout = 150, 32, 0.5


def dataset(part: str) -> object:
    return keras.utils.image_dataset_from_directory(
        f"{tree}/{part}", label_mode="categorical", image_size=(size, size), batch_size=batch, verbose=False
    )


train, validation = dataset("train"), dataset("validation")
labels = len(train.class_names)
layers = keras.layers
model = keras.Sequential(
    [
        keras.Input((size, size, 3)),
        layers.Rescaling(1 / 255),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(128, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(256, 3, activation="relu"),
        layers.Flatten(),
        layers.Dropout(dropout),
        layers.Dense(64, activation="relu"),
        layers.Dropout(dropout),
        layers.Dense(32, activation="relu"),
        layers.Dropout(dropout),
        layers.Dense(labels, activation="softmax"),
    ]
)
model.compile(keras.optimizers.Adam(1e-4), "categorical_crossentropy", metrics=["accuracy"])
best = keras.callbacks.ModelCheckpoint(
    "/tmp/published_small_cnn.keras", monitor="val_loss", save_best_only=True
)
fitting = time.perf_counter()
history = model.fit(train, validation_data=validation, epochs=epochs, callbacks=[best], verbose=0)
print(
    json.dumps(
        {
            "seconds": time.perf_counter() - started,
            "fit_seconds": time.perf_counter() - fitting,
            "parameters": model.count_params(),
            "train_loss": history.history["loss"],
            "validation_loss": history.history["val_loss"],
        }
    )
)
