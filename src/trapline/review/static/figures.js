// What is gained: how good the table is estimated to be, what the model has learnt, the curve of both.

import { counted, make, percent } from "./dom.js";

const span = (low, high) => low === null || low === undefined ? "" : `${percent(low)} – ${percent(high)}`;

function estimate(figures, audits) {
  if (!figures) {
    return [make("h2", {}, "How good is the table?"),
      make("p", {}, audits ? "Not known yet. Events drawn by chance are mixed in; from their answers it is estimated, with an interval."
        : "Not estimated: no events are drawn by chance in this review.")];
  }
  const rows = Object.entries(figures.labels ?? {}).map(([label, one]) => make("tr", {}, make("th", { scope: "row" }, label),
    make("td", {}, percent(one.precision?.estimate), make("small", {}, span(one.precision?.low, one.precision?.high))),
    make("td", {}, percent(one.recall?.estimate), make("small", {}, span(one.recall?.low, one.recall?.high)))));
  const head = make("tr", {}, ...["label", "right where it says so", "of these it finds"].map(text => make("th", { scope: "col" }, text)));
  return [make("h2", {}, "How good is the table?"),
    make("p", { class: "figure" }, make("b", {}, percent(figures.accuracy)), " right ", make("small", {}, `${span(figures.low, figures.high)} (95 %)`)),
    make("p", {}, `Estimated from ${counted(figures.audited, "event")} drawn by chance${figures.cannot_tell ? `, ${figures.cannot_tell} more could not be told` : ""}.`),
    figures.coarser ? make("p", {}, `${counted(figures.coarser, "audited answer")} said less than what is seen (animal of a fox), which counts as right. Exactly what is seen: ${percent(figures.exact?.accuracy)} (${span(figures.exact?.low, figures.exact?.high)}).`) : null,
    figures.unseen?.events ? make("p", {}, `Of the answers to ${counted(figures.unseen.events, "event")} that nobody looked at: ${percent(figures.unseen.accuracy)} (${span(figures.unseen.low, figures.unseen.high)}${figures.accuracy_if ? `; ${span(...figures.accuracy_if)} if those that could not be told were all wrong, or all right` : ""}).`) : null,
    figures.narrower ? make("p", {}, `About ${counted(figures.narrower.more, "more audited event")} would make that certain to ± ${percent(figures.narrower.half_width)}.`) : null,
    rows.length ? make("details", {}, make("summary", {}, "By label"), make("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Estimates by label" },
      make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)))) : null];
}

/** Decisions against the estimated share of right answers, with its interval. */
export function curve(points) {
  const usable = points.filter(one => one.estimate !== null && one.estimate !== undefined);
  if (usable.length < 2) return null;
  const wide = 320, high = 150, left = 42, bottom = 24, top = 8, right = 8;
  const most = Math.max(...usable.map(one => one.decisions));
  const floor = Math.min(...usable.map(one => one.low ?? one.estimate), 0.95);
  const least = Math.max(0, Math.floor(floor * 10) / 10);
  const x = n => left + (wide - left - right) * n / most;
  const y = p => top + (high - top - bottom) * (1 - (p - least) / (1 - least));
  const at = (one, key) => `${x(one.decisions).toFixed(1)},${y(one[key] ?? one.estimate).toFixed(1)}`;
  const band = [...usable.map(one => at(one, "high")), ...usable.toReversed().map(one => at(one, "low"))].join(" ");
  const last = usable.at(-1);
  const words = `With ${counted(last.decisions, "event")} learnt an estimated ${percent(last.estimate)} are right (${span(last.low, last.high)}); with ${usable[0].decisions} it was ${percent(usable[0].estimate)}.`;
  const svg = make("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": words, class: "curve" });
  for (const share of [least, (1 + least) / 2, 1]) {
    svg.append(make("line", { x1: left, x2: wide - right, y1: y(share), y2: y(share), class: "rule" }),
      make("text", { x: left - 5, y: y(share) + 4, "text-anchor": "end" }, percent(share)));
  }
  svg.append(make("polygon", { points: band, class: "band" }), make("polyline", { points: usable.map(one => at(one, "estimate")).join(" ") }),
    ...usable.map(one => make("circle", { cx: x(one.decisions), cy: y(one.estimate), r: 2.5 })),
    make("text", { x: wide - right, y: high - 6, "text-anchor": "end" }, `${counted(most, "event")} learnt`),
    make("text", { x: left, y: high - 6 }, "0"));
  return make("figure", {}, svg, make("figcaption", {}, words));
}

function teaching(state) {
  const parts = [make("h2", {}, "What the model has learnt")];
  if (!state || state.state === "off") return [...parts, make("p", {}, "Nothing: decisions are kept, and no model learns from them (--train).")];
  parts.push(make("p", { class: state.state === "failed" ? "bad" : null }, state.message || state.state));
  const loss = (state.curve ?? []).map(one => one.log_loss).filter(one => one !== null && one !== undefined);
  if (loss.length) parts.push(make("p", {}, `Log loss ${loss.at(-1).toFixed(2)} (lower is better) on the events kept aside to judge it.`));
  return [...parts, curve(state.curve ?? [])];
}

/** Fills the panel; `onTrain()` asks for training now. */
export function showFigures(root, state, onTrain) {
  const open = root.querySelector("details")?.open;
  const train = state.teaching && state.teaching.state !== "off" && make("button", { type: "button", onclick: onTrain }, "Learn now");
  const notes = state.notes?.length ? [make("h2", {}, "To know"), ...state.notes.map(words => make("p", {}, words))] : [];
  root.replaceChildren(...[...estimate(state.estimate, state.audits), ...teaching(state.teaching), train, ...notes].filter(Boolean));
  if (open) root.querySelector("details").open = true;
}
