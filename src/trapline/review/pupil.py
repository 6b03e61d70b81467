"""What a model that learns in a review says, taken up as what is filled in."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from trapline.prediction import Predictions
from trapline.review.project import Project
from trapline.review.suggestions import suggest_learnt
from trapline.review.teaching import Teacher

log = logging.getLogger("trapline.review")


class Pupil:
    """Takes up the answers of each new round, in the background: of many photos that takes a while.

    Args:
        project: whose suggestions they become.
        teacher: whose answers they are.
        learnt: called after each time.
    """

    def __init__(self, project: Project, teacher: Teacher, learnt: Callable[[], object]) -> None:
        self._project, self._teacher, self._learnt = project, teacher, learnt
        self._taken_up: Predictions | None = None
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Take up the answers of an earlier day, before anybody is shown another's."""
        answers = self._teacher.suggestions()
        if answers is not None:
            self._take_up(answers)

    def look(self) -> None:
        """See whether there is a new round; to be called often."""
        answers = self._teacher.suggestions()
        if answers is None or answers is self._taken_up:
            return
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._take_up, args=(answers,), daemon=True)
            self._thread.start()

    def _take_up(self, answers: Predictions) -> None:
        project = self._project
        try:
            project.suggestions = suggest_learnt(project.catalog, project.events, answers, project.taxonomy)
            self._learnt()
        except Exception:
            log.exception("The answers of a round could not be taken up")
        self._taken_up = answers
