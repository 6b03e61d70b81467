"""The folder of a training run: begun with its recipe and catalog, resumed with the same, never half-made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import yaml

from trapline.catalog import Catalog, fingerprint, identify, known_labels, training_fingerprint
from trapline.errors import UsageError
from trapline.recipes import Recipe, read_recipe
from trapline.storage import replace_text
from trapline.taxonomy import Taxonomy

RECIPE, CATALOG, TAXONOMY = "recipe.yaml", "catalog.parquet", "taxonomy.json"
FOLDS = "folds.json"
_BEGUN = {RECIPE, CATALOG}


def check_folder(folder: Path, recipe: Recipe, catalog: Catalog, resume: bool) -> None:
    """Refuse a folder that holds something else than what can be gone on with.

    Where a run was begun and nothing learnt, by one that was killed early, another begins.

    Raises:
        UsageError: it exists and `resume` is False, or is of another recipe or catalog.
    """
    if _is_fresh(folder):
        return
    if not resume:
        raise UsageError(f"{folder} exists. Go on with it by --resume, or name another folder with -o.")
    if not is_run(folder):
        raise UsageError(f"{folder} is not the folder of a training run, so it cannot be resumed.")
    fields = yaml.safe_load((folder / RECIPE).read_text(encoding="utf-8"))
    before, wanted = fields if isinstance(fields, dict) else {}, recipe.model_dump(mode="json")
    if before != wanted:  # or written otherwise by another version
        before = read_recipe(before, str(folder / RECIPE)).model_dump(mode="json")
    changed = [key for key in {**wanted, **before} if before.get(key) != wanted.get(key)]
    if changed:
        raise UsageError(
            f"{folder} was begun with another recipe (different: {', '.join(changed)}). "
            "Give the same options to resume it."
        )
    if training_fingerprint(Catalog.load(folder / CATALOG)) != training_fingerprint(catalog):
        raise UsageError(
            f"{folder} was begun with another catalog or split, or other labels, boxes, locations or "
            "events; give the same to resume it, or train anew in another folder with -o."
        )


@contextmanager
def opened(folder: Path, recipe: Recipe, catalog: Catalog) -> Iterator[None]:
    """The folder while something is learnt in it; made here, and nothing learnt, it goes again."""
    there, fresh = folder.is_dir(), _is_fresh(folder)
    ours = fresh and not is_run(folder)
    if fresh:
        learnt = pl.col("split").is_in(["train", "validation"]) | pl.col("split").is_null()
        labelled = known_labels(catalog.table).is_not_null()
        read = catalog.table.select((learnt & labelled).alias("read"))["read"]  # test photos stay unread
        folder.mkdir(parents=True, exist_ok=True)
        begin(folder, recipe, identify(catalog, only=read))
    try:
        yield
    except BaseException:
        if ours and _is_fresh(folder):
            _remove(folder, keep=there)
        raise


def begin(folder: Path, recipe: Recipe, catalog: Catalog) -> None:
    """Write down what is trained on what, unless that is there."""
    if is_run(folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    catalog.save(folder / CATALOG)
    text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    (folder / RECIPE).write_text(text, encoding="utf-8")


def check_folds(folder: Path, folds: int | Sequence[Catalog]) -> None:
    """Refuse to go on in a folder whose fits are of other folds; write down of which they are.

    Raises:
        UsageError: so it is.
    """
    path = folder / FOLDS
    wanted = json.dumps(folds if isinstance(folds, int) else [fingerprint(one) for one in folds])
    if not path.is_file():
        replace_text(path, wanted)
    elif path.read_text(encoding="utf-8") != wanted:
        raise UsageError(f"{folder} was begun with other folds. Give the same, or name another folder.")


def keep_taxonomy(taxonomy: Taxonomy | None, folder: Path) -> None:
    """Write down what the labels are, where that is known."""
    if taxonomy is not None:
        text = json.dumps(taxonomy.to_json(), ensure_ascii=False, indent=1)
        (folder / TAXONOMY).write_text(text, encoding="utf-8")


def read_taxonomy(folder: Path) -> Taxonomy | None:
    """What `keep_taxonomy` wrote; None for nothing."""
    path = folder / TAXONOMY
    return Taxonomy.from_json(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a training run."""
    return all((folder / name).is_file() for name in _BEGUN)


def _is_fresh(folder: Path) -> bool:
    """Whether it is absent, empty, or a run's beginning and no more (a fit makes its folder first)."""
    if not folder.exists():
        return True
    names = {path.name for path in folder.iterdir() if not (path.is_dir() and _is_empty_fit(path))}
    return not names or names == _BEGUN


def _is_empty_fit(folder: Path) -> bool:
    return folder.name.startswith(("fold-", "member-")) and not any(folder.iterdir())


def _remove(folder: Path, keep: bool) -> None:
    for path in list(folder.iterdir()):
        path.rmdir() if path.is_dir() else path.unlink()
    if not keep:
        folder.rmdir()
