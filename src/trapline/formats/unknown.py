"""Files that no reader recognises: what to do with those of a kind that is known."""

from __future__ import annotations

from pathlib import Path

from trapline.formats.json_file import json_start

_WHAT_TO_DO = {
    ("xlsx", "xlsm", "xls", "ods", "numbers"): "It is a workbook: save its sheet as CSV and read that.",
    ("zip", "7z", "rar", "tar", "gz", "tgz"): "Unpack it and read the folder.",
    ("mdb", "accdb", "sqlite", "db", "ddb"): "It is a data base: export the table with the files as CSV.",
    ("rds", "rdata", "pkl", "pickle", "mat"): (
        "Files of R, Python and Matlab that hold objects are never opened: write the table as CSV there."
    ),
    ("pdf", "doc", "docx", "html"): "It is a page for people: save the table in it as CSV.",
    ("xml", "yaml", "yml"): (
        "Where it is of a tool of annotation (CVAT, Pascal VOC, YOLO), export from that tool as COCO."
    ),
    ("jsonl", "ndjson"): "It is an object on each line: save these as CSV.",
    (
        "parquet",
    ): "If it is a catalog or predictions of Trapline, the command that uses it takes it as it is.",
}
_PICTURE = "It is one photo: name the folder in which it lies."
_TOOLS = (
    (('"img_id"',), "PyTorch-Wildlife's answers: `trapline predictions` reads them"),
    (('"_via_', '"region_attributes"'), "VGG Image Annotator's: export its annotations as COCO there"),
    (
        ('"shapes"', '"imagePath"'),
        "labelme's, of one photo: make COCO of all of them with labelme's own script",
    ),
    (
        ('"completed_by"', '"annotation_id"', '"data": {', '"data":{'),
        "Label Studio's own: export as COCO there",
    ),
    (('"coordinates"',), "CreateML's: export as COCO"),
    (
        ('"image_id"',),
        "COCO results, which name no photos: put them into one file with its images and categories",
    ),
    (
        ('"detections"',),
        "a list of detections: have it written in MegaDetector's batch format, which names its form",
    ),
)
"""What stands in JSON that other tools write, and what it is; the first that fits."""


def what_to_do(source: Path) -> str:
    """A sentence for a file that is of no format, by its ending; empty where there is none to give."""
    from trapline.images import SUFFIXES

    ending = source.suffix.lower().lstrip(".")
    if f".{ending}" in SUFFIXES:
        return f" {_PICTURE}"
    text = json_start(source)
    if text:
        tool = next((told for keys, told in _TOOLS if any(key in text for key in keys)), None)
        return "" if tool is None else f" It is {tool}."
    return next((f" {told}" for endings, told in _WHAT_TO_DO.items() if ending in endings), "")
