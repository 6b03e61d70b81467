"""zamba's own MegadetectorLite on a folder of photos: its class, eager PyTorch, photo by photo.

Photos are decoded whole by Pillow (zamba has the class for frames of videos) and given as BGR, with which it
finds more. Waits for a line on standard input, looks at all photos once, prints the seconds; again for each
line. usage: published_detector.py FOLDER THREADS ANSWERS (JSON: x, y, width, height, confidence)
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from zamba.object_detection.yolox.megadetector_lite_yolox import MegadetectorLiteYoloX


def main() -> None:
    """Answer lines."""
    folder, threads, answers = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(threads)
    detector = MegadetectorLiteYoloX(config={"confidence": 0.05, "device": "cpu"})
    found = {}

    def look() -> None:
        for path in sorted(folder.glob("*.jpg")):
            pixels = np.asarray(Image.open(path).convert("RGB"))
            boxes, scores = detector.detect_image(pixels[:, :, ::-1])
            found[path.name] = [
                [float(left), float(top), float(right - left), float(bottom - top), float(score)]
                for (left, top, right, bottom), score in zip(boxes, scores, strict=True)
            ]

    look()
    answers.write_text(json.dumps(found))
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        look()
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
