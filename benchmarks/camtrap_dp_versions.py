"""Camtrap DP packages of any version: what frictionless says of them, and whether Trapline reads all of it.

usage: python benchmarks/camtrap_dp_versions.py PACKAGE... [--schemas FOLDER]

Media, events, labelled media and labels are counted from the packages' CSVs by a few lines of Polars, beside
those in the catalog that Trapline reads. Frictionless, in an environment of its own, validates each package
with the table schemas that lie beside or above it (as in the standard's repository) or in FOLDER.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import polars as pl
from running import rival, rival_python

FRICTIONLESS = """
import json, sys
from pathlib import Path
from frictionless import Package
folder, schemas = Path(sys.argv[1]), [Path(path) for path in sys.argv[2:]]
package = json.loads((folder / "datapackage.json").read_text("utf-8"))
package.pop("profile", None)
for resource in package["resources"]:
    resource.pop("profile", None)
    at = [path / (resource["name"] + "-table-schema.json") for path in schemas]
    at = next((path for path in at if path.is_file()), None)
    if at is not None:
        resource["schema"] = json.loads(at.read_text("utf-8"))
        for field in resource["schema"]["fields"]:
            field.pop("example", None)  # those of 0.1.7 are no values of their own field
    elif isinstance(resource.get("schema"), str):
        resource.pop("schema")
        print("no schema of", resource["name"], end="; ")
report = Package.from_descriptor(package, basepath=str(folder)).validate()
errors = report.flatten(["title", "fieldName"])
print("valid" if report.valid else f"{len(errors)} errors, {errors[:2]}")
"""

UNSAID = ("animal", "unclassified", "unknown")
"""Types of observation that are no label by themselves."""
OLD = {
    "media_id": "mediaID",
    "deployment_id": "deploymentID",
    "sequence_id": "eventID",
    "sequenceID": "eventID",
}


def table(folder: Path, *names: str) -> pl.DataFrame:
    """The tables of these names that a package has, as text, in the names of version 1.0."""
    paths = (folder / f"{name}{packed}" for name in names for packed in (".csv", ".csv.gz"))
    read = [pl.read_csv(path, infer_schema=False) for path in paths if path.is_file()]
    renamed = [one.rename({old: new for old, new in OLD.items() if old in one.columns}) for one in read]
    return pl.concat(renamed, how="diagonal")


def counted(folder: Path) -> dict[str, int]:
    """What the CSVs say, by themselves: an observation is of its media, or else of all media of its event."""
    media = table(folder, "media")
    observations = table(folder, "observations", "media-observations", "event-observations")  # 0.6 has two
    if "mediaID" not in observations:
        observations = observations.with_columns(pl.lit(None, pl.String).alias("mediaID"))
    said = observations.filter(
        pl.col("scientificName").is_not_null() | ~pl.col("observationType").is_in(UNSAID)
    ).with_columns(pl.coalesce("scientificName", "observationType").alias("said"))
    own = said.filter(pl.col("mediaID").is_not_null()).join(media, on="mediaID").select("mediaID", "said")
    of_events = said.filter(pl.col("mediaID").is_null()).drop("mediaID")
    keys = [key for key in ("deploymentID", "eventID") if key in observations]
    if "eventID" in media:
        of_events = of_events.join(media.select("mediaID", *keys), on=keys).select("mediaID", "said")
        own = pl.concat([own, of_events]) if own.is_empty() else own
    events = (media if "eventID" in media else observations)["eventID"].drop_nulls().n_unique()
    return {
        "media": media["mediaID"].n_unique(),
        "events": events,
        "labelled": own["mediaID"].n_unique(),
        "labels": own["said"].n_unique(),
    }


def read_counts(folder: Path) -> dict[str, int]:
    """The same of the catalog that Trapline reads."""
    from trapline.formats import read

    catalog = read(folder, keep_urls=True, event_labels=True, classified_by="all")
    return {
        "media": catalog.table["media_id"].n_unique(),
        "events": catalog.table["event_id"].drop_nulls().n_unique(),
        "labelled": catalog.table["labels"].drop_nulls().len(),
        "labels": len(catalog.labels),
    }


def main() -> None:
    """Print a row a package; the status is 1 where a count differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("packages", nargs="+", type=Path)
    parser.add_argument("--schemas", type=Path)
    options = parser.parse_args()
    python = rival_python("frictionless", ("frictionless>=5.18",))
    print("| package | frictionless | counted | read |\n| --- | --- | --- | --- |")
    same = True
    for package in options.packages:
        schemas = [package, package.parent, *([options.schemas] if options.schemas else [])]
        verdict = rival("frictionless", [python, "-W", "ignore", "-c", FRICTIONLESS, package, *schemas])
        theirs, ours = counted(package), read_counts(package)
        same &= theirs == ours
        print(f"| {package} | {verdict.strip()} | {theirs} | {ours} |", flush=True)
    sys.exit(not same)


if __name__ == "__main__":
    main()
