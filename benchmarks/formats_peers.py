"""What MegaDetector's own utilities make of files that Trapline wrote; run by formats_check.py in their env.

usage: python formats_peers.py FOLDER PHOTOS

FOLDER holds md.json, coco.json and speciesnet.json, and gets the folder `theirs` with what they write. The
last line printed is JSON: each file written -> the images and the detections or annotations in it, or what
went wrong.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path


def csv_and_back(md: str, made: Path) -> None:
    from megadetector.postprocessing.convert_output_format import convert_csv_to_json, convert_json_to_csv

    convert_json_to_csv(md, str(made.with_suffix(".csv")))
    convert_csv_to_json(str(made.with_suffix(".csv")), str(made))


def load_and_write(md: str, made: Path) -> None:
    from megadetector.postprocessing.load_api_results import load_api_results, write_api_results

    write_api_results(*load_api_results(md), str(made))


def combine(md: str, made: Path) -> None:
    from megadetector.postprocessing.combine_batch_outputs import combine_batch_output_files

    document = json.loads(Path(md).read_text("utf-8"))
    half = len(document["images"]) // 2
    parts = [made.with_name(f"part{number}.json") for number in range(2)]
    for part, images in zip(parts, (document["images"][:half], document["images"][half:]), strict=True):
        part.write_text(json.dumps(document | {"images": images}))
    combine_batch_output_files([*map(str, parts)], str(made))


def merge(md: str, made: Path) -> None:
    from megadetector.postprocessing.merge_detections import MergeDetectionsOptions, merge_detections

    options = MergeDetectionsOptions()
    options.overwrite = True
    merge_detections([md], md, str(made), options)


def remap(md: str, made: Path) -> None:
    from megadetector.postprocessing.remap_detection_categories import remap_detection_categories

    categories = json.loads(Path(md).read_text("utf-8"))["detection_categories"]
    moved = {str(int(key) + 10): name for key, name in categories.items()}
    remap_detection_categories(md, str(made), moved, overwrite=True)


def smooth(md: str, made: Path) -> None:
    from megadetector.postprocessing.classification_postprocessing import (
        smooth_classification_results_image_level,
    )

    smooth_classification_results_image_level(md, str(made))


def md_to_predictions(md: str, made: Path) -> None:
    from megadetector.utils.wi_taxonomy_utils import generate_predictions_json_from_md_results

    generate_predictions_json_from_md_results(md, str(made))


def speciesnet_to_md(speciesnet: str, made: Path) -> None:
    from megadetector.utils.wi_taxonomy_utils import generate_md_results_from_predictions_json

    generate_md_results_from_predictions_json(speciesnet, str(made))


def cct_to_md(coco: str, made: Path) -> None:
    from megadetector.data_management.cct_to_md import cct_to_md as convert

    convert(coco, str(made))


def md_to_coco(md: str, made: Path) -> None:
    from megadetector.postprocessing.md_to_coco import md_to_coco as convert

    photos = sys.argv[2]
    convert(md, str(made), image_folder=photos, confidence_threshold=0.0, overwrite_behavior="overwrite")


PEERS: dict[str, tuple[str, Callable[[str, Path], None]]] = {
    "load_api_results": ("md.json", load_and_write),
    "convert_output_format": ("md.json", csv_and_back),
    "combine_batch_outputs": ("md.json", combine),
    "merge_detections": ("md.json", merge),
    "remap_detection_categories": ("md.json", remap),
    "classification_postprocessing": ("md.json", smooth),
    "generate_predictions_json_from_md_results": ("md.json", md_to_predictions),
    "generate_md_results_from_predictions_json": ("speciesnet.json", speciesnet_to_md),
    "cct_to_md": ("coco.json", cct_to_md),
    "md_to_coco": ("md.json", md_to_coco),
}


def counted(path: Path) -> list[int]:
    """Images or predictions, and detections or annotations."""
    document = json.loads(path.read_text("utf-8"))
    entries = document.get("images") or document.get("predictions")
    inside = sum(len(entry.get("detections") or ()) for entry in entries)
    return [len(entries), len(document.get("annotations") or ()) or inside]


def main() -> None:
    """Run all of them; one that fails does not keep the others from it."""
    folder = Path(sys.argv[1])
    (folder / "theirs").mkdir(exist_ok=True)
    done: dict[str, list[int] | str] = {}
    for name, (source, convert) in PEERS.items():
        made = folder / "theirs" / f"{name}.json"
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                convert(str(folder / source), made)
            done[name] = counted(made)
        except Exception as error:  # noqa: BLE001 - whatever theirs does is what is to be shown
            done[name] = f"{type(error).__name__}: {error}"
    print(json.dumps(done))


if __name__ == "__main__":
    main()
