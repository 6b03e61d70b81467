"""The paragraph of methods that a survey's page offers: what was done, with the numbers in it."""

from __future__ import annotations

from importlib.metadata import version

from trapline.ecology import EcologyOverview
from trapline.errors import many

_OF = {
    "table": "a table of records as it was given",
    "decisions": "what people decided, alone",
    "threshold": "the answers that stand: people's where they decided, else a model's above its threshold",
    "probabilities": "calibrated probabilities of a model, and people's decisions where there are any",
}


def methods(overview: EcologyOverview) -> list[str]:
    """Sentences for the methods of a publication, with their sources, a list of paragraphs."""
    return [_survey(overview), _figures(overview), *_draws(overview), _software()]


def _survey(o: EcologyOverview) -> str:
    locations, first, last = o.by_location.height, o.operation.dates[0], o.operation.dates[-1]
    guessed = "The time that each camera stood is a guess from its photos. " if o.stations.guessed else ""
    total = sum(one.records for one in o.species)
    return (
        f"Cameras stood at {many(locations, 'location')} from {first} to {last}, "
        f"{o.trap_days:,.0f} trap days in all; the days of setup and retrieval count half where their hours "
        f"are not known (Niedballa et al. 2016). {guessed}Records are made of {_OF[o.records.made_of]}. "
        "Records of one species at one location count as independent if they lie at least "
        f"{o.minutes:g} minutes after the last independent one: {total:,.0f} records of "
        f"{len(o.species)} species."
    )


def _figures(o: EcologyOverview) -> str:
    parts = [
        "Rates are independent records per 100 trap days, their 95 % intervals jackknifes over locations."
    ]
    if any(one.psi is not None for one in o.species):
        parts.append(
            "Occupancy and detection were estimated by single-season models with constant parameters by "
            "maximum likelihood (MacKenzie et al. 2002) of histories of "
            f"{o.occasion_days}-day occasions from each station's first day, with 95 % Wald intervals on the "
            "logit scale, or by profile likelihood where the estimate is at a boundary."
        )
    if any(one.activity is not None for one in o.species):
        sun = (
            "Times are by the sun, sunrise and sunset laid at 6 and 18 o'clock (Nouvellet et al. 2012)."
            if o.sun
            else "Times are those of the camera's clock."
        )
        parts.append(
            "Activity is a von Mises kernel density on the circle with a plug-in bandwidth (Ridout & Linkie "
            f"2009), with bootstrap intervals. {sun}"
        )
    if o.chao is not None:
        parts.append(
            "Species accumulation by locations is the expected number of species of a rarefied sample "
            "(Colwell et al. 2012), extrapolated to twice the sample (Chao et al. 2014); the least number of "
            "species is Chao2 with its log-normal interval (Chao 1987)."
        )
    return " ".join(parts)


def _draws(o: EcologyOverview) -> list[str]:
    if o.draws is None:
        return []
    return [
        f"Labels of events that nobody decided were drawn {o.draws} times from their calibrated "
        "probabilities, every figure was made of each draw, and the draws were combined as multiple "
        "imputations (Rubin 1987): intervals hold what is not known of the labels besides what differs "
        "between locations. The errors of events of one location were taken for independent; where a model "
        "errs alike in all of them, intervals are too narrow."
    ]


def _software() -> str:
    names = ("trapline", "numpy", "scipy", "polars")
    return f"Computed with {', '.join(f'{name} {version(name)}' for name in names)}."
