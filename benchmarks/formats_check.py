"""Whether other tools open what Trapline writes, and Trapline what they write: each given to the other.

Predicts the photos of two folders, writes every format, and has frictionless validate the Camtrap DP package
(with the standard's own schemas), MegaDetector's own package validate the JSON, and pandas and DuckDB read
the Parquet. MegaDetector's utilities then convert the JSON files, and what they write is read: photos,
answers and detections are counted on both sides.

usage: python benchmarks/formats_check.py MODEL SHARED_DATA [--keep FOLDER]

The tools live in an environment of their own, made by uv (megadetector's dependencies for training, which
are not needed here, are left out). MODEL is any classifier; its labels need no sense here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from running import rival, rival_python, trapline

if TYPE_CHECKING:
    from trapline.catalog import Catalog

TOOLS = ("pandas", "pyarrow", "duckdb", "frictionless>=5.18")
MEGADETECTOR = "megadetector==10.0.28"
ITS_NEEDS = ("numpy", "tqdm", "jsonpickle", "pillow", "humanfriendly", "requests", "matplotlib", "pytest")
ITS_NEEDS += ("opencv-python-headless", "scikit-learn", "send2trash")

MEGADETECTOR_CHECK = """
import sys
from megadetector.postprocessing.validate_batch_results import (
    ValidateBatchResultsOptions, validate_batch_results)
options = ValidateBatchResultsOptions()
options.check_image_existence, options.relative_path_base = True, sys.argv[2]
options.return_data = True
found = validate_batch_results(sys.argv[1], options)
wrong = found["validation_results"]["errors"] + found["validation_results"]["warnings"]
print(f"{len(found['images'])} images, {len(wrong)} errors or warnings", *wrong[:3])
"""

FRICTIONLESS_CHECK = """
import json, sys
from pathlib import Path
from frictionless import Package
folder, schemas = Path(sys.argv[1]), json.loads(sys.argv[2])
descriptor = json.loads((folder / "datapackage.json").read_text("utf-8"))
descriptor.pop("profile")
for resource in descriptor["resources"]:
    resource.pop("profile")
    resource["schema"] = schemas[resource["name"]]
report = Package.from_descriptor(descriptor, basepath=str(folder)).validate()
rows = {task.name: task.stats.get("rows") for task in report.tasks}
print("valid" if report.valid else "INVALID", rows, report.flatten(["title", "rowNumber", "note"])[:3])
sys.exit(not report.valid)
"""

PARQUET_CHECK = """
import sys
import duckdb, pandas
frame = pandas.read_parquet(sys.argv[1])
query = "select status, count(*) from read_parquet(?) group by status order by status"
counted = duckdb.execute(query, [sys.argv[1]]).fetchall()
assert dict(counted) == frame["status"].value_counts().to_dict()
print("pandas", frame.shape, "duckdb", counted)
"""

TABLE_CHECK = """
import sys
import duckdb, pandas
for path in sys.argv[1:]:
    rows = duckdb.execute("select count(*) from read_csv(?)", [path]).fetchone()[0]
    assert rows == len(pandas.read_csv(path)), path
    print(path.rsplit("/", 1)[-1], rows, "rows")
"""


BOXES_ALONE = ("md_to_coco", "generate_predictions_json_from_md_results")
"""What these write has no answer of a classifier: it is read as a source, for its boxes."""
THEIR_OWN = "uses unsupported mode CMYK"
"""Where MegaDetector's own reader of photos ends, at a photo of the fixtures. It is shown, and no fault."""


def check(python: Path, name: str, code: str, *arguments: object) -> bool:
    """Run a tool on an output and print what it says."""
    done = subprocess.run(
        [str(python), "-W", "ignore", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    said = (done.stdout.strip().splitlines() or [""])[-1] if not done.returncode else done.stderr[-1500:]
    print(f"| {name} | {'ok' if not done.returncode else 'FAILED'} | {said} |", flush=True)
    return not done.returncode


def surest(path: Path, catalog: Catalog) -> tuple[str, dict[str, str]]:
    """As what a tool's answers are read, and the surest label of each photo that has an answer."""
    import numpy as np

    from trapline.formats import read_answers

    answers = read_answers(path, catalog)
    table, labels = answers.predictions.table, answers.predictions.labels
    right = table.filter(table["status"] == "ok")
    best = np.nan_to_num(right.select(labels).to_numpy(), nan=-1).argmax(axis=1)
    return answers.format, dict(zip(right["media_id"], (labels[at] for at in best), strict=True))


def read_back(path: Path, catalog: Catalog, ours: dict[str, str], entries: int) -> tuple[bool, str]:
    """What Trapline makes of a tool's file of `entries` photos: whether all are there, and in words."""
    from trapline.errors import TraplineError
    from trapline.formats import read

    try:
        if path.stem in BOXES_ALONE:
            media = read(path, root=catalog.root)
            boxes = int(media.table["boxes"].drop_nulls().list.len().sum())
            return len(media) == entries, f"a source of {len(media)} media, {boxes} boxes"
        form, theirs = surest(path, catalog)
    except TraplineError as error:
        return False, str(error)
    same = sum(ours.get(media) == label for media, label in theirs.items())
    return len(theirs) >= len(ours), f"answers of {form}: {len(theirs)} of {len(ours)}, {same} the same"


def check_exchange(name: str, python: Path, folder: Path, catalog: Catalog) -> bool:
    """MegaDetector's utilities convert what we wrote, and we read what they wrote."""
    peers = Path(__file__).with_name("formats_peers.py")
    said = rival("megadetector", [python, "-W", "ignore", peers, folder, catalog.root]).strip().splitlines()
    _, ours = surest(folder / "md.json", catalog)
    good = True
    for tool, counts in json.loads(said[-1]).items():
        well, words = THEIR_OWN in str(counts), f"it fails: {counts}"
        if isinstance(counts, list):
            well, words = read_back(folder / "theirs" / f"{tool}.json", catalog, ours, counts[0])
            words = f"{counts[0]} photos, {counts[1]} detections or annotations; read as {words}"
        print(f"| {name}: {tool} | {'ok' if well else 'FAILED'} | {words} |", flush=True)
        good &= well
    return good


def write_facts(folder: Path, catalog: Path, labels: list[str]) -> list[object]:
    """What the standards ask for and no photo tells: deployments, the project, a taxonomy."""
    from trapline.catalog import Catalog

    media = Catalog.load(catalog)
    places = sorted(media.table["location_id"].drop_nulls().unique().to_list())
    rows = [f"{place}-1,{place},46.5,6.5,2000-01-01,2030-12-31" for place in places]
    header = "deploymentID,locationID,latitude,longitude,deploymentStart,deploymentEnd"
    (folder / "deployments.csv").write_text("\n".join([header, *rows]) + "\n")
    (folder / "project.yaml").write_text(
        "contributors: [{title: Somebody}]\nproject: {title: Check, samplingDesign: opportunistic, "
        "captureMethod: [activityDetection], individualAnimals: false}\n"
    )
    kinds = {"blank": "blank", "empty": "blank", "vehicle": "vehicle", "human": "human"}
    taxa = [
        f"{label},{'' if label in kinds else 'Mammalia'},,,,,{label},{kinds.get(label, 'animal')}"
        for label in labels
    ]
    header = "label,class,order,family,genus,species,common_name,kind"
    (folder / "taxonomy.csv").write_text("\n".join([header, *taxa]) + "\n")
    return ["--taxonomy", folder / "taxonomy.csv"]


def check_source(
    name: str, source: Path, options: list[str], model: Path, python: Path, folder: Path
) -> bool:
    """Predict one source, write it and have the tools read it."""
    folder.mkdir(parents=True)
    catalog, table = folder / "catalog.parquet", folder / "predictions.parquet"
    trapline("catalog", source, "-o", catalog, "--check", "none", *options)
    trapline("predict", model, catalog, "-o", table)
    labels = json.loads(trapline("show", model, "--json"))["card"]["labels"]
    taxa = write_facts(folder, catalog, labels)
    written = json.loads(
        trapline(
            "write", table, catalog, "--format", "megadetector", "-o", folder / "md.json", *taxa, "--json"
        )
    )
    trapline("write", table, catalog, "--format", "speciesnet", "-o", folder / "speciesnet.json", *taxa)
    trapline("write", table, catalog, "--format", "coco-camera-traps", "-o", folder / "coco.json")
    from trapline.catalog import Catalog
    from trapline.formats.camtrap_dp_schema import TABLES, table_schema

    media = Catalog.load(catalog)
    title = f"{name}: MegaDetector JSON, {written['rows']} images"
    good = check(python, title, MEGADETECTOR_CHECK, folder / "md.json", media.root)
    good &= check_exchange(name, python, folder, media)
    extra = [
        "--deployments",
        folder / "deployments.csv",
        "--metadata",
        folder / "project.yaml",
        "--leave-out",
    ]
    trapline(
        *(
            "write",
            table,
            catalog,
            "--format",
            "camtrap-dp",
            "-o",
            folder / "dp",
            "--timezone",
            "Europe/Zurich",
        ),
        *(*taxa, *extra, "--threshold", "0.3"),
    )
    schemas = json.dumps({resource: table_schema(resource) for resource in TABLES})
    good &= check(python, f"{name}: Camtrap DP", FRICTIONLESS_CHECK, folder / "dp", schemas)
    good &= check(python, f"{name}: Parquet", PARQUET_CHECK, table)
    trapline("write", table, catalog, "--format", "summary", "-o", folder / "summary.csv", *taxa)
    trapline("write", table, catalog, "--format", "csv", "-o", folder / "table.csv")
    return good & check(python, f"{name}: CSVs", TABLE_CHECK, folder / "table.csv", folder / "summary.csv")


def main() -> None:
    """Check both sources and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        python = rival_python("formats", (*TOOLS, *ITS_NEEDS), alone=(MEGADETECTOR,))
        print("| output | | what the tool says |\n| --- | --- | --- |")
        sources: dict[str, tuple[Path, list[str]]] = {
            "jura": (options.data / "jura" / "site-8.2-G", ["--location", "8.2 G"]),
            "fixtures": (
                options.data / "fixtures" / "speciesnet_testdata" / "test_data",
                ["--location", "mixed"],
            ),
        }
        good = [
            check_source(name, source, more, options.model, python, folder / name)
            for name, (source, more) in sources.items()
        ]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
