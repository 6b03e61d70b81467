// What was decided, and where people differ: lists that lead back to the events.

import { byId, clock, counted, make } from "./dom.js";
import { get } from "./server.js";
import { inWords } from "./answer.js";

const PAGE = 50;

const close = () => make("form", { method: "dialog", class: "row" }, make("button", {}, "Close"));

/** The person's decisions, the latest first, more on demand; `onOpen(trail, at)` goes to one of them. */
export async function showPast(session, nameOf, onOpen) {
  const dialog = byId("past");
  const list = make("ol", { class: "past" });
  const more = make("button", { type: "button" }, "Earlier ones");
  const trail = [];
  const load = async () => {
    const decisions = await session.history(PAGE, trail.at(-1)?.decision_id);
    const before = trail.length;
    trail.push(...decisions);
    more.hidden = decisions.length < PAGE;
    list.append(...decisions.map((one, index) => make("li", {}, make("button", { type: "button", onclick: () => { dialog.close(); onOpen(trail, before + index); } },
      make("b", {}, inWords(one, nameOf)), make("small", {}, ` ${clock(one.decided_at)} · ${one.event.replace(/^\w+:/, "")}`),
      one.remark ? make("small", {}, ` “${one.remark}”`) : null))));
    if (!list.children.length) list.replaceWith(make("p", {}, "Nothing is decided yet."));
  };
  more.addEventListener("click", load);
  dialog.replaceChildren(make("h2", {}, "Decided"), make("div", { class: "long", tabindex: 0, role: "group", "aria-label": "Decisions" }, list, more), close());
  dialog.showModal();
  await load();
}

/** Events of which people say different things. */
export async function showDisagreements(nameOf, onOpen) {
  const dialog = byId("past");
  const { disagreements } = await get("/api/disagreements");
  const items = disagreements.map(one => make("li", {}, make("button", { type: "button", onclick: () => { dialog.close(); onOpen(one.event); } },
    make("b", {}, one.event.replace(/^\w+:/, "")),
    make("small", {}, " " + one.decisions.map(by => `${by.person}: ${inWords(by, nameOf)}`).join(" · ")))));
  dialog.replaceChildren(make("h2", {}, "Where people differ"),
    items.length ? make("p", {}, `${counted(items.length, "event")}. The latest word stands until somebody decides after having seen both.`) : make("p", {}, "Nobody differs."),
    make("div", { class: "long", tabindex: 0, role: "group", "aria-label": "Disagreements" }, make("ol", { class: "past" }, ...items)), close());
  dialog.showModal();
}
