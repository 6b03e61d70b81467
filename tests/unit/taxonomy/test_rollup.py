"""The best taxa of a row lie on one path, whatever the tree and the probabilities."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.errors import UsageError
from trapline.prediction import Ranks
from trapline.prediction.frames import pool_nodes
from trapline.taxonomy import RANKS, Label, Taxon, Taxonomy, group_at_rank, sum_at_nodes, sum_at_rank
from trapline.taxonomy.classes import Classes, hierarchy_of
from trapline.taxonomy.rollup import _kind_of, best_answers, levels_of, roll_up, verdict, walk_down

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


CATS = {
    "Felidae": Taxon("Felidae", "family"),
    "Lynx": Taxon("Lynx", "genus", "Felidae"),
    "Lynx lynx": Taxon("Lynx lynx", "species", "Lynx"),
    "Lynx rufus": Taxon("Lynx rufus", "species", "Lynx"),
    "Canidae": Taxon("Canidae", "family"),
    "Homo": Taxon("Homo", "genus"),
}
OF_CATS = Taxonomy(
    CATS,
    {
        "lynx": Label("lynx", "animal", "Lynx lynx"),
        "bobcat": Label("bobcat", "animal", "Lynx rufus"),
        "dog": Label("dog", "animal", "Canidae"),
        "cat": Label("cat", "animal", "Felidae"),
        "ranger": Label("ranger", "human", "Homo"),
        "animal": Label("animal", "animal"),
        "person": Label("person", "human"),
        "car": Label("car", "vehicle"),
        "empty": Label("empty", "blank"),
    },
)


def test_an_answer_reaches_its_threshold_at_its_very_edge() -> None:
    names = ("lynx", "bobcat", "dog")
    levels = levels_of(OF_CATS, names)
    bests = best_answers(np.array([[0.375, 0.375, 0.25]]), levels)
    edge = {"family": 0.75, "genus": 0.75, "species": 0.375}
    assert roll_up(bests, edge).answers[0] == "Lynx lynx"
    coarser = roll_up(bests, {**edge, "species": np.nextafter(0.375, 1)})
    assert (coarser.answers[0], coarser.levels[0], coarser.probabilities[0]) == ("Lynx", "genus", 0.75)
    none = roll_up(bests, dict.fromkeys(edge, np.nextafter(0.75, 1)))
    assert (none.answers[0], none.levels[0]) == (None, None)
    assert np.isnan(none.probabilities[0])
    assert roll_up(bests, {}).answers[0] is None, "a level without a threshold is never answered"


def test_without_thresholds_one_half_is_enough_and_less_is_not() -> None:
    levels = levels_of(OF_CATS, ("lynx", "dog"))
    half, less = np.array([[0.5, 0.5]]), np.array([[0.49, 0.1]])
    assert roll_up(best_answers(half, levels), None).answers[0] == "Lynx lynx"
    rolled = roll_up(best_answers(less, levels), None)
    assert (rolled.answers[0], rolled.levels[0]) == ("animal", "kind")


def test_the_levels_are_those_of_the_tree_broadest_first() -> None:
    levels = levels_of(OF_CATS, ("lynx", "bobcat", "dog", "empty"), without={"Lynx"})
    assert [level.name for level in levels] == ["kind", "family", "species"]
    assert [level.taxa for level in levels] == [
        ("animal", "blank"),
        ("Felidae", "Canidae"),
        ("Lynx lynx", "Lynx rufus"),
    ]
    assert [level.parents for level in levels] == [(None, None), (None, None), ("Felidae", "Felidae")]
    assert levels[0].matrix.tolist() == [[1, 0], [1, 0], [1, 0], [0, 1]]
    assert levels[1].matrix.tolist() == [[1, 0], [1, 0], [0, 1], [0, 0]]
    assert levels[2].matrix.tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]]


def test_rows_without_probabilities_have_no_answer_and_sums_stay_within_1() -> None:
    names = ("lynx", "bobcat", "empty")
    values = np.array([[np.nan] * 3, [0.6, 0.4 + 1e-6, 0.0], [0.2, 0.1, 0.7]])
    bests = {best.level: best for best in best_answers(values, levels_of(OF_CATS, names))}
    assert bests["kind"].answers.tolist() == ["animal", "animal", "blank"]
    assert np.isnan(bests["kind"].probabilities[0])
    assert bests["genus"].probabilities.tolist()[1:] == [1, pytest.approx(0.3)]
    assert bests["species"].answers.tolist()[1:] == ["Lynx lynx"] * 2
    rolled = roll_up(list(bests.values()), None)
    assert rolled.answers.tolist() == [None, "Lynx lynx", "blank"]
    assert best_answers(np.array([[1.0]]), levels_of(OF_CATS, ("empty",)))[0].answers.tolist() == ["blank"]


@pytest.mark.parametrize(
    ("answer", "label", "said"),
    [
        ("animal", "lynx", "right"),
        ("human", "lynx", "wrong"),
        ("blank", "empty", "right"),
        ("Lynx lynx", "lynx", "right"),
        ("Felidae", "lynx", "right"),
        ("Lynx rufus", "lynx", "wrong"),
        ("Canidae", "lynx", "wrong"),
        ("Lynx lynx", "cat", "unknown"),  # a cat may be a lynx
        ("Lynx", "cat", "unknown"),
        ("Felidae", "cat", "right"),
        ("Canidae", "cat", "wrong"),
        ("Lynx lynx", "animal", "unknown"),
        ("Homo", "person", "right"),  # people are of one species
        ("Homo", "animal", "wrong"),
        ("Lynx", "person", "wrong"),
        ("Lynx", "empty", "wrong"),
        ("Lynx", "car", "wrong"),
    ],
)
def test_an_answer_is_right_at_or_above_the_label_and_unknown_below_it(
    answer: str, label: str, said: str
) -> None:
    assert verdict(OF_CATS, answer, label) == said


def test_a_taxon_of_two_kinds_tells_neither() -> None:
    taxa = {"Mammalia": Taxon("Mammalia", "class"), "Homo": Taxon("Homo", "genus", "Mammalia")}
    labels = {
        "ranger": Label("ranger", "human", "Homo"),
        "mammal": Label("mammal", "animal", "Mammalia"),
        "animal": Label("animal", "animal"),
    }
    assert _kind_of(Taxonomy(taxa, labels), "Mammalia") is None
    assert verdict(Taxonomy(taxa, labels), "Mammalia", "animal") == "wrong"
    assert verdict(Taxonomy(taxa, labels), "Homo", "animal") == "wrong"


def test_labels_are_summed_at_a_rank_into_the_taxon_at_which_they_stop() -> None:
    names = ("lynx", "bobcat", "cat", "dog", "empty")
    values = np.array([[0.1, 0.2, 0.3, 0.15, 0.25]])
    sums, groups = sum_at_rank(values, OF_CATS, names, "genus")
    assert groups == ("Lynx", "Felidae", "Canidae", "empty")
    assert sums[0] == pytest.approx([0.3, 0.3, 0.15, 0.25])
    assert sum_at_rank(values, OF_CATS, names, "class")[1] == names, "there is none: labels stay themselves"
    assert group_at_rank(OF_CATS, "lynx", "subspecies") == "Lynx lynx"
    nodes, taxa = sum_at_nodes(values, OF_CATS, names)
    assert dict(zip(taxa, nodes[0], strict=True)) == pytest.approx(
        {"Felidae": 0.6, "Lynx": 0.3, "Lynx lynx": 0.1, "Lynx rufus": 0.2, "Canidae": 0.15}
    )
    for wrong in (values[0], values[:, :4]):
        with pytest.raises(UsageError, match=r"must be \[rows, 5 labels\]"):
            sum_at_nodes(wrong, OF_CATS, names)
    with pytest.raises(UsageError, match="no rank 'tribe'"):
        sum_at_rank(values, OF_CATS, names, "tribe")  # type: ignore[arg-type]


def test_a_threshold_of_0_is_reached_by_all_but_what_is_unknown() -> None:
    bests = best_answers(np.array([[np.nan, np.nan], [0.0, 1.0]]), levels_of(OF_CATS, ("lynx", "empty")))
    assert roll_up(bests, {"species": 0.0}).answers.tolist() == [None, "Lynx lynx"]


def test_a_walk_down_says_the_rank_at_which_it_ends_and_a_kind_where_there_is_no_taxon() -> None:
    names = ("lynx", "bobcat", "dog", "empty")
    hierarchy = hierarchy_of(Classes(OF_CATS.for_labels(names), names, {name: name for name in names}), RANKS)
    walked = walk_down(np.array([[0.3, 0.25, 0.4, 0.05], [0.1, 0.1, 0.7, 0.1], [0, 0.1, 0, 0.9]]), hierarchy)
    assert walked.answers.tolist() == ["Lynx lynx", "Canidae", "blank"]
    assert walked.levels.tolist() == ["species", "family", "kind"]
    assert walked.probabilities.tolist() == [0.3, 0.7, 0.9]


def test_failed_crops_say_nothing_at_the_nodes() -> None:
    names = ("lynx", "bobcat", "dog")
    hierarchy = hierarchy_of(Classes(OF_CATS.for_labels(names), names, {name: name for name in names}), RANKS)
    values, codes = np.array([[0.5, 0.3, 0.2], [np.nan] * 3, [np.nan] * 3]), np.array([0, 0, 1])
    pooled = pool_nodes(values, np.array([1.0, 0.0, 0.0]), codes, hierarchy)
    assert pooled[0] == pytest.approx([0.5, 0.3, 0.2])
    assert np.isnan(pooled[1]).all()
