"""How the shipped model of kinds is judged: nothing that is judged decides how it is answered."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SEED = 0
KINDS_OF_SETS = {"caltech-night": (0,), "trailcam-bursts": (0, 1, 2), "jura": (0, 1, 2)}


@pytest.fixture(scope="module")
def script() -> Any:
    path = Path(__file__).parents[3] / "scripts/make_kinds.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, path.stem, module)  # where dataclasses look their module up
        spec.loader.exec_module(module)
    return module


def judge_of(script: Any, wrong: str = "") -> Any:
    """40 photos of each set, with one telling feature a kind; the truth of one set may be wrong."""
    rng = np.random.default_rng(SEED)
    photos, features = [], []
    for one, kinds in KINDS_OF_SETS.items():
        for number in range(40):
            kind = kinds[number % len(kinds)]
            features.append(3 * np.eye(3)[kind] + rng.normal(size=(1, 3)))
            shown = script.KINDS[(kind + 1) % 3 if one == wrong else kind]
            photos.append(script.Photo(one, Path(f"{one}{number}.jpg"), (shown,), f"{number}", number % 4))
    rows = np.arange(len(photos))
    return script.Judge(script.Boxes(photos, rows, rows >= 0, np.array(features, np.float32)))


def test_a_set_that_is_left_out_has_no_say_in_how_it_is_answered(script: Any) -> None:
    card, judge = script.draft_card(), judge_of(script)
    said = script.answer_left_out(card, judge)
    assert (said == judge.truth).mean() > 0.5
    for one in script.SETS:
        again = script.answer_left_out(card, judge_of(script, wrong=one))
        inside = judge.sets == one
        np.testing.assert_array_equal(again[inside], said[inside])
        assert (again != said).any(), "the others' answers do follow what it shows"


def test_a_fold_has_no_say_in_the_thresholds_by_which_it_is_answered(script: Any) -> None:
    card, judge = script.draft_card(), judge_of(script)
    apart = judge.apart(np.ones(len(judge.sets), bool))
    said = script.answer_apart(card, judge, apart)
    for fold in range(4):
        changed, inside = apart.copy(), judge.folds == fold
        kept = np.flatnonzero(inside)[0]
        changed[inside] = 5 * np.roll(apart[inside], 1, axis=1)
        changed[kept] = apart[kept]
        assert script.answer_apart(card, judge, changed)[kept] == said[kept]
        settled = [script.settle(card, judge, logits, ~inside) for logits in (apart, changed)]
        assert settled[0] == settled[1]
        assert script.settle(card, judge, changed, inside | ~inside) != settled[0]


def test_heads_see_neither_the_fold_nor_the_set_that_they_are_to_answer_for(
    script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, fit = judge_of(script), script.Judge.fit
    seen: list[Any] = []

    def watched(self: Any, rows: Any) -> Any:
        seen.append(rows)
        return fit(self, rows)

    monkeypatch.setattr(script.Judge, "fit", watched)
    others = judge.sets != "jura"
    apart = judge.apart(others)
    assert len(seen) == 4
    for fold, rows in enumerate(seen):
        assert set(judge.sets[rows]) == {"caltech-night", "trailcam-bursts"}
        assert set(judge.folds[rows]) == set(range(4)) - {fold}
    np.testing.assert_array_equal(np.isnan(apart).any(axis=1), ~others)
