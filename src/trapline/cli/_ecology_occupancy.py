"""Commands of `trapline ecology`: occupancy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trapline.arguments import refuse_own_input
from trapline.cli._common import Force, Json, Seed, note, print_json, refuse_to_overwrite
from trapline.errors import UsageError, many

if TYPE_CHECKING:
    from trapline.ecology import OccupancyFit, OccupancyModels, OccupancyQuantity


def occupancy(
    histories: Annotated[
        Path, typer.Argument(help="Detection histories (.csv): a row a location, a column an occasion.")
    ],
    psi: Annotated[
        str | None, typer.Option(metavar="FORMULA", help="Of occupancy: 'Dist_5km + HDens_5km' [1].")
    ] = None,
    p: Annotated[
        str | None, typer.Option("--p", metavar="FORMULA", help="Of detection: 'effort' [1].")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'psi: …; p: …'", help="One of several models, which are compared by AIC. Repeat it."
        ),
    ] = None,
    covariates: Annotated[
        Path | None, typer.Option(help="Covariates of locations (.csv): a row a location.")
    ] = None,
    observations: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE.csv",
            help="A covariate of observations: a table shaped as the histories. Repeat it.",
        ),
    ] = None,
    effort: Annotated[
        Path | None, typer.Option(help="The same, by the name effort (trapline ecology histories --effort).")
    ] = None,
    confirmed: Annotated[
        Path | None,
        typer.Option(help="A table shaped as the histories: 1 where a person confirmed the detection."),
    ] = None,
    certain: Annotated[
        bool, typer.Option("--certain", help="2 in the histories is a detection that is certain.")
    ] = False,
    false_positive: Annotated[
        str | None,
        typer.Option(
            metavar="RATE:LOW-HIGH|FILE.csv|estimated",
            help="Detections may be false: at this rate an occasion (0.02:0.01-0.05), as an audit counted it "
            "(location_id, checked, wrong), or at an unknown rate.",
        ),
    ] = None,
    scores: Annotated[
        bool,
        typer.Option(
            "--scores", help="The table has scores: a row a file (location_id, score or probability, seen)."
        ),
    ] = False,
    audit: Annotated[
        Path | None, typer.Option(help="With --scores: scores of files that people looked at elsewhere.")
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="The covariate's value at which psi and p are reported [its mean]."
        ),
    ] = None,
    goodness: Annotated[
        int, typer.Option(min=0, help="Data sets to simulate for the goodness of fit; 1000 are usual.")
    ] = 0,
    grid: Annotated[
        Path | None,
        typer.Option(help="A table of covariates, of each row of which -o has psi: the cells of a map."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write psi of every location, or of the grid (.csv)."),
    ] = None,
    seed: Seed = 42,
    json: Json = False,
    force: Force = False,
) -> None:
    """Single-season occupancy by maximum likelihood, also of a classifier's detections or scores."""
    from trapline import ecology

    _refuse(output, grid, force, [histories, covariates, effort, confirmed, audit, grid])
    result = ecology.occupancy(
        histories,
        psi=psi,
        p=p,
        models=model or (),
        covariates=covariates,
        observations=dict(_pairs(observations, "--observations", "NAME=FILE.csv")),
        effort=effort,
        confirmed=confirmed,
        certain=certain,
        false_positive=false_positive,
        scores=scores,
        audit=audit,
        at=dict(_pairs(at, "--at", "NAME=VALUE")),
        goodness=goodness,
        seed=seed,
    )
    if output is not None:
        result.save(output, grid)
    if json:
        print_json(result.as_json(), indent=1)
    else:
        _print(result)
    if output is not None:
        typer.echo(f"Wrote {output}", err=True)


def _refuse(output: Path | None, grid: Path | None, force: bool, sources: Sequence[Path | None]) -> None:
    if output is None:
        if grid is not None:
            raise UsageError("--grid needs -o: the table of psi that is written of it.")
        return
    refuse_to_overwrite(output, force)
    refuse_own_input(output, [one for one in sources if one is not None])


def _pairs(texts: list[str] | None, option: str, form: str) -> Iterator[tuple[str, str]]:
    known: set[str] = set()
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise UsageError(f"{option} takes {form}, not '{text}'.")
        if name.strip() in known:
            raise UsageError(f"{option} names {name.strip()} twice.")
        known.add(name.strip())
        yield name.strip(), value.strip()


def _print(result: OccupancyModels) -> None:
    fit = result.best
    if len(result.fits) > 1:
        _print_models(result)
    n, rows = len(fit.survey.locations), len(fit.survey.values)
    what = "files with a score" if fit.kind == "scores" else "observations"
    seen = "seen by people" if fit.kind == "scores" else "detected"
    typer.echo(
        f"{many(n, 'location')}, {rows:,} {what}; {seen} at {fit.naive:.1%} of the locations (naive "
        "occupancy)"
    )
    typer.echo(f"psi ~ {fit.psi_design.formula.text}; p ~ {fit.p_design.formula.text}")
    typer.echo(fit.method)
    _print_estimates(fit)
    aicc = "" if fit.aicc is None else f", AICc {fit.aicc:.3f}"
    typer.echo(
        f"\nAIC {fit.aic:.3f}{aicc}, log likelihood {fit.log_likelihood:.3f}, "
        f"{many(fit.parameters, 'parameter')}"
    )
    _print_goodness(fit)
    for sentence in fit.notes:
        note(sentence)


def _print_estimates(fit: OccupancyFit) -> None:
    """Columns stand below each other, however long a covariate is called."""
    first = {name + _shown_at(fit, name): one for name, one in fit.probabilities.items()}
    first.update(fit.scales)
    names = [*first, *(f"  {name}" for each in fit.coefficients.values() for name in each)]
    width = max(30, *map(len, names))
    typer.echo(f"\n{'':<{width}} {'estimate':>10}   95 % by profile likelihood   95 % Wald")
    for name, one in first.items():
        typer.echo(_line(name, one, width))
    for part, coefficients in fit.coefficients.items():
        typer.echo(f"\nCoefficients of {part}, on the logit scale")
        for name, one in coefficients.items():
            typer.echo(_line(f"  {name}", one, width))


def _line(name: str, one: OccupancyQuantity, width: int) -> str:
    value = "none" if one.estimate is None else f"{one.estimate:.4f}"
    profile = " to ".join(
        "open" if end is None else f"{end:.4f}" for end in (one.profile.low, one.profile.high)
    )
    wald = "none" if one.wald.low is None else f"{one.wald.low:.4f} to {one.wald.high:.4f}"
    return f"{name:<{width}} {value:>10}   {profile:<26}   {wald}"


def _shown_at(fit: OccupancyFit, name: str) -> str:
    values = {"psi": fit.at_psi, "p": fit.at_p}.get(name, {})
    text = ", ".join(
        f"{column}={value:.4g}" if isinstance(value, float) else f"{column}={value}"
        for column, value in values.items()
    )
    return f" at {text}" if text else ""


def _print_models(result: OccupancyModels) -> None:
    typer.echo(f"{'AIC':>12} {'delta':>9} {'weight':>7} {'AICc':>12}  k  model")
    for row in result.table().iter_rows(named=True):
        aicc = "" if row["aicc"] is None else f"{row['aicc']:.3f}"
        typer.echo(
            f"{row['aic']:>12.3f} {row['delta']:>9.3f} {row['weight']:>7.3f} {aicc:>12} "
            f"{row['parameters']:>2}  psi ~ {row['psi']}; p ~ {row['p']}"
        )
    typer.echo("\nThe model with the lowest AIC:")


def _print_goodness(fit: OccupancyFit) -> None:
    if (tested := fit.goodness) is not None:
        typer.echo(
            f"Goodness of fit, {tested.samples} simulated data sets: chi-square {tested.chi_square:.2f}, p "
            f"{tested.chi_square_p:.3f}, c-hat {tested.c_hat:.2f}; Freeman-Tukey "
            f"{tested.freeman_tukey:.2f}, p {tested.freeman_tukey_p:.3f}"
        )


COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "occupancy": (occupancy, "Where a species lives, though it is not always detected"),
}
"""name → the command and its short help."""
