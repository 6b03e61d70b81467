"""The report of a search: one HTML page that needs nothing beside it."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from trapline.metrics import LOWER_IS_BETTER

if TYPE_CHECKING:
    from trapline.training.tune import Tuned

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Tuning of {{ recipe.name }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } th, td { padding: .2rem .7rem; text-align: right; }
tr:nth-child(even) { background: #f4f4f4; } .best { font-weight: bold; } .failed { color: #a00; }
img { max-width: 100%; }
</style>
<h1>Tuning of the recipe {{ recipe.name }}</h1>
<p>{{ rows|length }} trials, each judged by location folds: every photo by a model that never saw its
location. The best of many trials is a little better than it will be on new locations: judge the final
model on a part that tuning did not see.</p>
<p>Best by {{ metric }}: trial {{ best.number }}, {{ "%.3f"|format(best.metrics[metric][0]) }}
{%- if best.metrics[metric][1] is not none %} (95 % {{ "%.3f"|format(best.metrics[metric][1]) }} to
{{ "%.3f"|format(best.metrics[metric][2]) }}){% endif %}.</p>
<pre>{% for field, value in best.values.items() %}{{ field }}: {{ value }}
{% endfor %}</pre>
<img alt="{{ metric }} against each searched field" src="data:image/png;base64,{{ figure }}">
<table><tr><th>trial</th>{% for field in fields %}<th>{{ field }}</th>{% endfor %}
{% for name in names %}<th>{{ name.replace("_", " ") }}</th>{% endfor %}<th>seconds</th></tr>
{% for trial in rows %}<tr{% if trial.number == best.number %} class="best"{% endif %}>
<td>{{ trial.number }}</td>
{% for field in fields %}<td>{{ trial.values.get(field) }}</td>{% endfor %}
{% if trial.metrics %}{% for name in names %}<td>{{ "%.3f"|format(trial.metrics[name][0]) }}</td>{% endfor %}
{% else %}<td class="failed" colspan="{{ names|length }}">{{ trial.failure }}</td>{% endif %}
<td>{{ "%.0f"|format(trial.seconds) }}</td></tr>
{% endfor %}</table></html>
"""


def write_report(tuned: Tuned, path: Path) -> Path:
    """Write the page: the best trial, the metric against each field, all trials from best to worst."""
    sign = 1 if tuned.metric in LOWER_IS_BETTER else -1
    rows = sorted(
        tuned.trials,
        key=lambda trial: sign * trial.metrics[tuned.metric][0] if trial.metrics else float("inf"),
    )
    page = jinja2.Environment(autoescape=True, trim_blocks=True).from_string(PAGE)
    text = page.render(
        recipe=tuned.recipe,
        metric=tuned.metric,
        best=tuned.best,
        rows=rows,
        fields=list(tuned.recipe.search),
        names=list(tuned.best.metrics),
        figure=base64.b64encode(_figure(tuned)).decode(),
    )
    path.write_text(text, encoding="utf-8")
    return path


def _figure(tuned: Tuned) -> bytes:
    """PNG: the metric of each trial against each searched field."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fields = list(tuned.recipe.search)
    figure = Figure(figsize=(3.2 * len(fields), 2.8), layout="constrained")
    FigureCanvasAgg(figure)
    good = [trial for trial in tuned.trials if trial.metrics]
    for axes, field in zip(figure.subplots(1, len(fields), squeeze=False)[0], fields, strict=True):
        dimension: Any = tuned.recipe.search[field]
        choices = getattr(dimension, "choices", None)
        values = [trial.values[field] for trial in good]
        if choices is not None:
            axes.set_xticks(range(len(choices)), [str(choice) for choice in choices], rotation=30)
            values = [list(choices).index(value) for value in values]
        elif dimension.log:
            axes.set_xscale("log")
        axes.plot(values, [trial.metrics[tuned.metric][0] for trial in good], "o", alpha=0.7)
        axes.set(title=field, ylabel=tuned.metric.replace("_", " "))
    content = io.BytesIO()
    figure.savefig(content, dpi=90)
    return content.getvalue()
