"""The docstrings of the nouns are a tutorial: they run one after another, on a small synthetic world."""

import doctest
import warnings
from pathlib import Path

import pytest

import trapline
from trapline.catalog import splitters
from trapline.errors import TraplineWarning
from trapline.synthetic import make_world


@pytest.mark.slow
def test_the_tutorial_in_the_docstrings_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_world(tmp_path / "world", locations=12, events_per_location=4, size=(320, 240))
    monkeypatch.chdir(tmp_path)
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    lessons = (trapline.Catalog, trapline.ModelFile, trapline.Predictions, splitters)
    with warnings.catch_warnings(action="ignore", category=TraplineWarning):
        for lesson in lessons:
            tests = [test for test in finder.find(lesson, globs={}) if test.examples]
            assert tests, f"{lesson} has no examples"
            for test in tests:
                runner.run(test)
    assert runner.tries > 20
    assert runner.failures == 0
