"""The best taxa of a row lie on one path, whatever the tree and the probabilities."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.prediction import Ranks
from trapline.prediction.frames import pool_nodes
from trapline.taxonomy import RANKS, Label, Taxon, Taxonomy
from trapline.taxonomy.classes import Classes, hierarchy_of
from trapline.taxonomy.rollup import best_answers, levels_of, roll_up, walk_down

Tree = tuple[Taxonomy, tuple[str, ...]]


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Labels of any rank, none above another, in a tree whose paths leave ranks out; perhaps a blank."""
    taxa: dict[str, Taxon] = {}
    for number in range(draw(st.integers(2, 14))):
        above = [
            None,
            *(name for name, taxon in taxa.items() if RANKS.index(taxon.rank) < len(RANKS) - 1),
        ]
        parent = draw(st.sampled_from(above))
        first = 0 if parent is None else RANKS.index(taxa[parent].rank) + 1
        rank = draw(st.sampled_from(RANKS[first:]))
        taxa[f"T{number}"] = Taxon(f"T{number}", rank, parent)
    tops = {taxon.parent for taxon in taxa.values()}
    labels = {f"l{name}": Label(f"l{name}", "animal", name) for name in taxa if name not in tops}
    if draw(st.booleans()):
        labels["empty"] = Label("empty", "blank")
    names = tuple(draw(st.permutations(sorted(labels))))
    return Taxonomy(taxa, labels).for_labels(names), names


@st.composite
def rows_of_a_tree(draw: st.DrawFn) -> tuple[Tree, np.ndarray]:
    tree = draw(trees())
    shares = draw(
        st.lists(
            st.lists(st.integers(0, 9), min_size=len(tree[1]), max_size=len(tree[1])).filter(sum),
            min_size=1,
            max_size=6,
        )
    )
    values = np.array(shares, np.float64)
    return tree, values / values.sum(axis=1, keepdims=True)


@given(rows_of_a_tree(), st.dictionaries(st.sampled_from(("kind", *RANKS)), st.floats(0.05, 1), max_size=5))
def test_the_ranks_of_a_row_and_its_answer_are_one_path(
    case: tuple[Tree, np.ndarray], thresholds: dict[str, float]
) -> None:
    (tree, names), values = case
    info = {**tree.to_json(), "rollup": {"promise": 0.9}}
    ranks = Ranks(names, info, thresholds)
    table = ranks.add(pl.DataFrame(values, list(names), orient="row").cast(pl.Float64))
    for row in table.iter_rows(named=True):
        said = [row[rank] for rank in RANKS if row.get(rank) is not None]
        for broader, finer in pairwise(said):
            assert tree.taxa[finer].parent == broader, row
        assert tree.children(said[-1] if said else None) == ()
        assert row["answer"] is None or row["answer_rank"] == "kind" or row["answer"] in said


@given(rows_of_a_tree())
def test_a_taxon_of_more_than_one_half_is_on_the_path(case: tuple[Tree, np.ndarray]) -> None:
    (tree, names), values = case
    levels = levels_of(tree, names)
    rolled = roll_up(best_answers(values, levels), None)
    for row, probabilities in enumerate(values):
        likely = [
            name
            for level in levels
            for name, share in zip(level.taxa, probabilities @ level.matrix, strict=True)
            if level.name != "kind" and share > 0.5 + 1e-9
        ]
        if likely:
            assert rolled.answers[row] is not None
            assert rolled.probabilities[row] >= 0.5
            assert likely[-1] in tree.path(str(rolled.answers[row]))


@given(rows_of_a_tree())
def test_the_greedy_descent_takes_the_most_probable_child_down_to_a_leaf(
    case: tuple[Tree, np.ndarray],
) -> None:
    (tree, names), values = case
    hierarchy = hierarchy_of(Classes(tree, names, {name: name for name in names}), RANKS)
    walked = walk_down(values, hierarchy)
    for row, probabilities in enumerate(values):
        nodes = {names[k]: hierarchy.paths[names[k]] for k in range(len(names))}
        step = 0
        while len(nodes) > 1 or step < max(map(len, nodes.values())):
            shares: dict[str, float] = {}
            for name, path in nodes.items():
                shares[path[step]] = shares.get(path[step], 0) + probabilities[names.index(name)]
            most = max(shares.values())
            # of equals any may be taken: follow what the walk took
            end = next(n for n, p in hierarchy.paths.items() if _answer(tree, n) == walked.answers[row])
            taken = hierarchy.paths[end][step]
            assert shares[taken] == pytest.approx(most, abs=1e-9)
            nodes = {name: path for name, path in nodes.items() if path[step] == taken}
            step += 1
        (leaf,) = nodes
        assert walked.answers[row] == _answer(tree, leaf)
        assert walked.probabilities[row] == probabilities[names.index(leaf)]


@given(rows_of_a_tree())
def test_crops_of_one_observation_are_averaged_at_each_node_as_published(
    case: tuple[Tree, np.ndarray],
) -> None:
    (tree, names), crops = case
    hierarchy = hierarchy_of(Classes(tree, names, {name: name for name in names}), RANKS)
    weights, codes = np.full(len(crops), 1 / len(crops)), np.zeros(len(crops), np.int64)
    pooled = pool_nodes(np.maximum(crops, 1e-9), weights, codes, hierarchy)
    assert pooled.sum() == pytest.approx(1)
    leaf = walk_down(pooled, hierarchy)
    chosen = next(name for name in names if _answer(tree, name) == leaf.answers[0])
    path = dict.fromkeys(hierarchy.paths[chosen])
    walked = 1.0
    for head in hierarchy.heads:
        if head.parent is not None and head.parent not in path:
            continue
        below = [[float(child in hierarchy.paths[name]) for name in names] for child in head.children]
        sums = np.maximum(crops, 1e-9) @ np.array(below).T
        means = (sums / sums.sum(axis=1, keepdims=True)).mean(axis=0)
        taken = next(place for place, child in enumerate(head.children) if child in path)
        assert means[taken] == pytest.approx(means.max())
        walked *= means[taken]
    assert leaf.probabilities[0] == pytest.approx(walked)


def _answer(tree: Taxonomy, label: str) -> str:
    return tree.labels[label].taxon or tree.labels[label].kind


def test_a_family_no_longer_stands_beside_a_subspecies_of_another() -> None:
    taxa = {
        "Felidae": Taxon("Felidae", "family"),
        "Lynx": Taxon("Lynx", "genus", "Felidae"),
        "Puma": Taxon("Puma", "genus", "Felidae"),
        "Canidae": Taxon("Canidae", "family"),
        "Vulpes vulpes fulva": Taxon("Vulpes vulpes fulva", "subspecies", "Canidae"),
    }
    labels = {name: Label(name, "animal", name) for name in ("Lynx", "Puma", "Vulpes vulpes fulva")}
    tree = Taxonomy(taxa, labels)
    bests = best_answers(np.array([[0.3, 0.3, 0.4]]), levels_of(tree, tuple(labels)))
    said = {best.level: (best.answers[0], best.probabilities[0]) for best in bests}
    assert said["family"] == ("Felidae", pytest.approx(0.6))
    assert said["genus"] == ("Lynx", pytest.approx(0.3))
    assert said["subspecies"][0] is None
    assert np.isnan(said["subspecies"][1])
