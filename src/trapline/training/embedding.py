"""`embed`: a table of what a network sees in each media, which heads then train on at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from trapline.catalog import Catalog, Presence
from trapline.errors import UsageError
from trapline.images import DEFAULT_LIMITS, Limits
from trapline.models import ModelFile
from trapline.prediction import (
    DEFAULT_BATCH_SIZE,
    MIRRORED,
    EmbeddingRun,
    Journal,
    Summary,
    check_embeddings_path,
    fill_journal,
    journal_path,
    write_embeddings,
)
from trapline.prediction import Progress as RunProgress
from trapline.recipes import MODEL_FILE, Recipe
from trapline.storage import user_cache_folder
from trapline.training.feature_cache import CachedFeatures, FeatureCache
from trapline.training.features import (
    Cache,
    FeatureView,
    Keys,
    Progress,
    embed_views,
    group_of,
)
from trapline.training.frozen import head_recipe, need_weights
from trapline.training.learners import FrozenRecipe, looked_through, looks_of


@dataclass(frozen=True)
class Seeing:
    """A network, and the ways in which heads want photos to be looked at.

    Attributes:
        network: what is looked through; it prepares photos as the first view does.
        views: the first is that of the table, and the one that prediction uses.
    """

    network: ModelFile
    views: tuple[FeatureView, ...]

    @property
    def mirrored(self) -> bool:
        """Whether heads want the mirror images of the first view."""
        return FeatureView(self.views[0].preprocessing, mirrored=True) in self.views

    @classmethod
    def of_model(cls, model: ModelFile) -> Seeing:
        """As the model itself sees."""
        return cls(model, (FeatureView(model.card.preprocessing),))

    @classmethod
    def of_recipe(
        cls, recipe: Recipe, cache: Path | None, *, threads: int | None = None, runtime: str = "auto"
    ) -> Seeing:
        """As the heads of a recipe do; of one that trains a network, as its backbone does before.

        Args:
            recipe: any whose backbone has weights.
            cache: folder for exported backbones; None for the user's.
            threads: the network runs on; None for one a core.
            runtime: what runs it.

        Raises:
            UsageError: the backbone begins without weights, and has seen nothing yet.
            DataError: its weights cannot be had.
        """
        if recipe.weights == "none" and not recipe.backbone.startswith(MODEL_FILE):
            raise UsageError(
                f"The backbone of the recipe '{recipe.name}' begins without weights, so that what it sees "
                "says nothing: train it, and name its model file."
            )
        need_weights(recipe, cache)
        if isinstance(recipe, FrozenRecipe):
            _, network = looked_through(recipe, cache)
            views = looks_of(recipe).views
        else:
            path = head_recipe(recipe, cache).backbone.removeprefix(MODEL_FILE)
            network, views = ModelFile(path), (FeatureView(recipe.preprocessing),)
        opened = ModelFile(network.path, threads=threads, runtime=runtime)
        return cls(opened.with_preprocessing(views[0].preprocessing), views)


def embed_to_file(
    seeing: Seeing,
    catalog: Catalog,
    output: Path | str,
    *,
    cache: Cache = "user",
    batch_size: int = DEFAULT_BATCH_SIZE,
    workers: int | None = None,
    fresh: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    progress: Callable[[RunProgress], None] | None = None,
    views_progress: Progress | None = None,
) -> Summary:
    """Write a row a media with its embedding, and keep all that heads will ask for in the feature cache.

    The work is written to `<output>.journal` batch by batch. Whatever ends the run, the same call goes on
    where it stopped, and the table is the same, byte for byte. Called again after the end it looks only at
    media that are new or whose file has changed, and tries the failed ones again.

    Args:
        seeing: the network, and the views. Other views than the first are for the cache alone; its mirror
            image is looked at along with it, what is prepared otherwise in the end.
        catalog: the media; its boxes are used if the network's photos are cropped.
        output: `.parquet`; overwritten. Columns `media_id`, `event_id`, `file_path`, `status` (`ok` or
            `failed`), `reason` and `embedding`, float32 [D], null where the photo could not be read.
        cache: folder for the feature cache, or the user's own; None for nowhere.
        batch_size: photos a batch.
        workers: processes that decode; None for as many as the machine has cores.
        fresh: forget what an earlier run has done.
        limits: on the bytes of a file and the pixels of a picture.
        progress: called after every batch.
        views_progress: told how many of the other views are done.

    Returns:
        counts of the table.

    Raises:
        UsageError: the output's suffix is another, or the journal is of another model or other options.
        SourceGoneError: none of the photos can be read, or they can no longer be.
        TraplineError: the disk is full.
    """
    path, folder = Path(output), user_cache_folder() if cache == "user" else cache
    check_embeddings_path(path)
    run = EmbeddingRun.of(
        seeing.network,
        catalog,
        batch_size,
        mirrored=seeing.mirrored and folder is not None,
        presence=Presence(catalog),
        workers=workers,
        limits=limits,
    )
    with Journal(journal_path(path), run.header(batch_size), fresh=fresh) as journal:
        fill_journal(run, journal, run.wanted(journal.index()), progress)
        rows = kept_in_cache(run.rows(journal), seeing.network, catalog, folder, workers)
        summary = write_embeddings(run.facts(batch_size), rows, path)
    if folder is not None and len({view.preprocessing for view in seeing.views}) > 1:
        embed_views(
            seeing.network,
            catalog,
            seeing.views,
            cache=folder,
            workers=workers,
            skip_unreadable=True,
            progress=views_progress,
        )
    return summary


def kept_in_cache(
    parts: Iterable[pl.DataFrame],
    model: ModelFile,
    catalog: Catalog,
    folder: Path | None,
    workers: int | None = None,
) -> Iterator[pl.DataFrame]:
    """Parts of a table of embeddings, each kept in the feature cache on its way; mirror images go there only.

    Args:
        parts: rows of all media of the catalog, in its order, as `EmbeddingRun.rows` gives them.
        model: that made them, with the preprocessing by which it looked.
        catalog: the media.
        folder: for the cache; None for nowhere.
        workers: threads that read files to recognise them; None for one a core.
    """
    if folder is None:
        yield from parts
        return
    preprocessing = model.card.preprocessing
    group, keys = group_of(model, preprocessing), Keys(model, catalog, folder, workers)
    views = {name: FeatureView(preprocessing, name == MIRRORED) for name in ("embedding", MIRRORED)}
    begin = 0
    with FeatureCache(folder) as store:
        every = [keys.of(row, view) for row in range(len(catalog)) for view in views.values()]
        lacking = store.lacking(group, [key for key in every if key is not None])
        for part in parts:
            for name in views.keys() & set(part.columns):
                readable = part.with_row_index("row", begin).filter(pl.col("status") == "ok")
                named = zip(readable["row"], readable["reason"], readable[name].to_numpy(), strict=True)
                entries = {
                    key: CachedFeatures(vector, reason)
                    for row, reason, vector in named
                    if (key := keys.of(row, views[name])) in lacking and key is not None
                }
                store.put(group, entries)
            begin += part.height
            yield part.drop(MIRRORED, strict=False)
