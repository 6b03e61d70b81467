// The page: what is shown, what a key or a finger does. What is kept is the session's.

import * as answers from "./answer.js";
import { byId, clock, counted, duration, make, percent } from "./dom.js";
import { Closer } from "./closer.js";
import { showFigures } from "./figures.js";
import { Frames, pictureOf } from "./frames.js";
import { Grid } from "./grid.js";
import { asTyped, described, told, wrong } from "./individuals.js";
import { KEYS, commandOf, shown } from "./keys.js";
import { Outbox } from "./outbox.js";
import { showDisagreements, showPast } from "./past.js";
import { Search } from "./search.js";
import { Away, get, post } from "./server.js";
import { Session } from "./session.js";

const PERSON = "trapline-review-person";
const STREAM = "trapline-review-stream";
const POLL = 4000;
const GRID = 100;
const BACK = 30;
const DECIDING = new Set(["accept", "blank", "cannotTell", "same"]);

let state = null, session = null, outbox = null;
let view = null;  // {ask, answer, past: where it is among the decisions that are looked at again, else null}
let last = null;  // the answer decided last
let boxes = true;
const trouble = { away: null, refusal: null };
const drawn = new Map();  // what of the state is on the page already

const frames = new Frames(byId("frames"), {
  onLarger: index => closer.show(view.ask, index),
  onChoose: index => edit(answers.choosing(view.answer, index)),
  onReady: () => { document.body.dataset.ready = view?.ask.event ?? ""; preload(); },
});
const closer = new Closer();
const search = new Search({ onNamed, onNew });
const grid = new Grid(byId("grid"), { onAccept: acceptGrid, onLeave: leaveGrid, onName: () => openSearch(), nameOf, say });

// ---- words

function nameOf(label) {
  return state.labels.find(one => one.label === label)?.common || label;
}

function say(words) { byId("spoken").textContent = words; }

/** Trouble of two kinds: what passes when the server answers again, and what a person has to read. */
function warn(kind, words) {
  trouble[kind] = words;
  const text = [trouble.refusal, trouble.away].filter(Boolean).join(" ");
  if (byId("trouble").textContent !== text) byId("trouble").textContent = text;
  byId("trouble").hidden = !text;
}

function explain(error) {
  if (!(error instanceof Away)) warn("refusal", error.message);
  else warn("away", outbox?.size ? `${error.message}: ${counted(outbox.size, "message")} not yet sent, kept in this page and sent again.` : `${error.message}.`);
}

// ---- what is shown

function showAsk(ask, { answer = null, past = null } = {}) {
  ask.covered ??= new Set();  // frames that are decided already
  view = { ask, answer: answer ?? leftOf(ask), past };
  if (past === null) session.current = ask;
  if (closer.open) closer.close();
  document.body.dataset.ready = "";
  document.body.dataset.event = ask.event;
  frames.show(ask);
  update();
  showAlike(ask);
  focusAnswer();
}

/** The labelled events that look most like this one: an animal that the model does not know is like none of them. */
async function showAlike(ask) {
  const shelf = byId("alike");
  shelf.hidden = true;
  if (!state || state.teaching.state === "off") return;
  const alike = (await get(`/api/alike?event=${encodeURIComponent(ask.event)}`).catch(() => ({ alike: [] }))).alike;
  if (view?.ask !== ask || !alike.length) return;
  shelf.replaceChildren(make("span", {}, "Of what is labelled, most like:"), ...alike.map(one => make("figure", {},
    make("img", { src: `${one.picture}?size=thumb`, alt: one.labels.map(nameOf).join(", ") }),
    make("figcaption", {}, [one.labels.map(nameOf).join(", "), one.location].filter(Boolean).join(" · ")))));
  shelf.hidden = false;
}

/** What this person decided before, else the suggestion, for those frames that are not decided now. */
function leftOf(ask) {
  const left = ask.frames.map((_, index) => index).filter(index => !ask.covered.has(index));
  const filled = ask.before && !ask.covered.size ? answers.decided(ask.before) : answers.suggested(ask);
  return { ...filled, frames: ask.covered.size && left.length ? left : null };
}

function showNothing(words) {
  view = null;
  session.current = null;
  delete document.body.dataset.event;
  byId("frames").replaceChildren(make("p", { class: "nothing" }, words));
  update();
}

function update() {
  const ask = view?.ask;
  const parts = ask ? [ask.location, clock(ask.taken), counted(ask.frames.length, "frame"),
    view.past === null ? null : "decided before", view.past === null && ask.covered.size ? `${counted(ask.covered.size, "frame")} decided` : null] : [];
  byId("where").textContent = parts.filter(Boolean).join(" · ");
  if (ask) frames.mark(view.answer.frames, ask.covered);
  showFilled();
  showLikely();
  const others = (ask?.others ?? []).map(one => `${one.person}: ${answers.inWords(one, nameOf)}`);
  byId("others").textContent = others.join(" · ");
  for (const entry of KEYS.filter(one => one.toggle)) {
    const on = { unsure: view && !view.answer.sure, flag: view?.answer.flagged, boxes }[entry.action];
    byId(`do-${entry.action}`)?.setAttribute("aria-pressed", String(Boolean(on)));
  }
  byId("frames").classList.toggle("boxless", !boxes);
  byId("closer").classList.toggle("boxless", !boxes);
}

function showFilled() {
  const filled = byId("filled");
  if (!view) { filled.replaceChildren(); return; }
  const { answer, ask } = view;
  const share = answers.equal(answer, answers.suggested(ask)) ? ask.suggestion?.labels[0]?.probability : null;
  const chips = answer.verdict === "seen" ? answer.labels.map(chip) : [make("b", {}, answer.verdict ?? "nothing filled in")];
  const marks = [answer.sure ? null : "not sure", answer.flagged ? "flagged" : null, answer.remark ? `“${answer.remark}”` : null,
    answer.frames ? `frame${answer.frames.length > 1 ? "s" : ""} ${answer.frames.map(index => index + 1).join(", ")} alone` : null];
  const unnamed = answer.labels.length === 1 && answer.labels[0].label.toLowerCase() === "animal" && ask.suggestion?.observer.startsWith("detector");
  filled.replaceChildren(...chips, share ? make("span", { class: "share" }, percent(share)) : "",
    unnamed ? make("small", {}, "seen by the detector, which knows no species: letters name it") : "",
    ...marks.filter(Boolean).map(words => make("span", { class: "mark" }, words)));
}

function chip(one, index) {
  const { label, count } = one;
  const change = step => edit(answers.counting(view.answer, Math.max(0, (count ?? 0) + step), index));
  const step = (sign, by, words) => make("button", { type: "button", "aria-label": `${words} ${nameOf(label)}`, onclick: () => change(by) }, sign);
  return make("span", { class: "chip" }, make("b", {}, nameOf(label)), step("−", -1, "one less"), make("span", { class: "count" }, count ? `× ${count}` : "×"),
    step("+", 1, "one more"), described(one) ? make("small", {}, described(one)) : "",
    make("button", { type: "button", "aria-label": `age, sex and behaviour of ${nameOf(label)}`, onclick: () => describe(label) }, "…"),
    make("button", { type: "button", "aria-label": `remove ${nameOf(label)}`, onclick: () => edit(answers.without(view.answer, index)) }, "✕"));
}

/** Asks for the individuals of a label, of the one named last where none is said. */
function describe(label = view.answer.labels.at(-1)?.label) {
  if (!label) { say("Name what is seen first"); return; }
  byId("individuals").dataset.label = label;
  byId("described").textContent = nameOf(label);
  byId("alike-words").value = asTyped(view.answer.labels.filter(one => one.label === label));
  byId("alike-words").setCustomValidity("");
  byId("individuals").showModal();
}

function showLikely() {
  const named = new Set(view?.answer.labels.map(one => one.label));
  const likely = (view?.ask.likely ?? []).filter(one => !named.has(one.label) && one.label !== view.answer.verdict).slice(0, 5);
  byId("likely").replaceChildren(...likely.map(one => make("button", { type: "button", onclick: () => edit(answers.named(view.answer, one.label)) },
    nameOf(one.label), make("small", {}, ` ${percent(one.probability)}`))));
}

function showState() {
  document.title = `${state.name} · Review`;
  byId("name").textContent = state.name;
  redraw("stream", [state.streams, session.stream], streams => streams.replaceChildren(...state.streams.map(one => make("option", { value: one.name, disabled: !one.available && one.name !== session.stream, selected: one.name === session.stream },
    one.title + (one.left === null || one.left === undefined ? "" : ` (${one.left.toLocaleString("en")})`)))));
  byId("why").textContent = state.streams.find(one => one.name === session.stream)?.why ?? "";
  const { progress } = state;
  byId("bar").max = Math.max(1, progress.events);
  byId("bar").value = progress.decided;
  const rate = progress.rate_per_hour ? `${Math.round(progress.rate_per_hour)} an hour` : "";
  const left = progress.seconds_left ? `${duration(progress.seconds_left)} left` : "";
  byId("progress").textContent = [`${progress.decided.toLocaleString("en")} of ${counted(progress.events, "event")}`, `${progress.mine.toLocaleString("en")} by ${session.person}`, rate, left].filter(Boolean).join(" · ");
  byId("do-disagreements").querySelector(".number").textContent = state.disagreements ? ` ${state.disagreements}` : "";
  redraw("figures", [state.estimate, state.audits, state.teaching, state.notes], root => showFigures(root, state, () => post("/api/train", {}).then(poll, explain)));
}

/** Draws a part of the page where what it shows has changed, so that nothing is closed under a person's hands. */
function redraw(id, what, draw) {
  const words = JSON.stringify(what);
  if (drawn.get(id) !== words) draw(byId(id));
  drawn.set(id, words);
}

function preload() {
  for (const ask of session.queue.slice(0, 3)) {
    for (const frame of ask.frames) {
      if (!frame.failed) new Image().src = pictureOf(frame, ask.frames.length > 12 ? "thumb" : "1600");
    }
  }
}

// ---- going on

async function refill(count) {
  try {
    await session.fill(count);
    if (!outbox.size) warn("away", null);
  } catch (error) {
    explain(error);
    if (error instanceof Away) setTimeout(() => next({ only: "if nothing is shown" }), 2000);
  }
}

/** The next event; with `only`, where none is before the eyes. */
async function next({ only = null } = {}) {
  if (only && (view || grid.open)) return;
  if (!session.queue.length) {
    showNothing("Looking for the next event …");
    await refill();
    if (view || grid.open) return;
  }
  const ask = session.queue.shift();
  if (ask) showAsk(ask);
  else if (session.exhausted) showNothing("Nothing is left to ask here. Choose another way of asking above, or look at what was decided (F8).");
  refill();
}

function edit(answer) {
  view.answer = answer;
  update();
  if (document.activeElement === document.body) focusAnswer();  // what had the focus was drawn anew
}

function focusAnswer() { byId("answer").focus({ preventScroll: true }); }

function decide(answer) {
  const { ask, past } = view;
  if (answer.verdict === null) { say("Nothing is filled in: type some letters of a name, or press Space for blank"); return; }
  if (past !== null && answers.equal(answer, view.was)) { forward(); return; }
  session.decide([[ask, answer]]);
  last = answer;
  warn("refusal", null);
  say(`Decided: ${answers.inWords(answer, nameOf)}`);
  for (const index of answer.frames ?? ask.frames.keys()) ask.covered.add(index);
  if (past !== null) forward();
  else if (ask.covered.size < ask.frames.length) {  // the other frames are asked next
    view.answer = leftOf(ask);
    frames.front(view.answer.frames[0]);
    update();
  } else next();
}

/** One of the decisions that were made, the latest first: `trail[at]`. */
async function look(trail, at) {
  try {
    const decision = trail[at];
    const known = session.actions.flatMap(action => action.asks).find(one => one.event === decision.event);
    const ask = known ?? await session.ask(decision.event);
    if (view && view.past === null) session.putBack(view.ask);
    showAsk(ask, { answer: answers.decided(decision), past: { trail, at } });
    view.was = view.answer;
  } catch (error) { explain(error); }
}

/** The decision before the one that is looked at, also of before this page was opened. */
async function back() {
  const { trail, at } = view?.past ?? { trail: [], at: -1 };
  try {
    if (at + 1 === trail.length) {
      await outbox.emptied();
      trail.push(...await session.history(BACK, trail.at(-1)?.decision_id));
    }
    if (at + 1 === trail.length) say("There is no decision before");
    else await look(trail, at + 1);
  } catch (error) { explain(error); }
}

function forward() {
  const { trail, at } = view.past;
  at > 0 ? look(trail, at - 1) : next();
}

async function undo() {
  try {
    const action = await session.undo();
    if (!action) { say("There is nothing to take back"); return; }
    if (grid.open) closeGrid();
    else if (view?.past === null && view.ask.event !== action.asks[0].event) session.putBack(view.ask);
    for (const ask of action.asks.slice(1).reverse()) session.putBack(ask);
    const [decision] = action.decisions;
    for (const [index, ask] of action.asks.entries()) {
      for (const frame of action.decisions[index].frames ?? ask.frames.keys()) ask.covered?.delete(frame);
    }
    const taken = action.decisions.length > 1 ? counted(action.decisions.length, "decision") : answers.inWords(decision, nameOf);
    showAsk(action.asks[0], { answer: answers.decided(decision) });
    say(`Taken back: ${taken}`);
  } catch (error) { explain(error); }
}

function redo() {
  const action = session.redo();
  if (!action) { say("There is nothing to decide again"); return; }
  if (view?.past === null && !action.asks.some(ask => ask.event === view.ask.event)) session.putBack(view.ask);
  say(`Decided again: ${answers.inWords(action.decisions[0], nameOf)}`);
  next();
}

// ---- the grid

async function openGrid() {
  if (grid.open) { leaveGrid(); return; }
  if (view?.past === null) session.putBack(view.ask);
  view = null;
  session.current = null;
  document.body.classList.add("gridded");
  for (const id of ["event", "answer"]) byId(id).hidden = true;
  say("Looking for events …");
  await refill(GRID);
  session.queue = grid.show(session.queue);
  session.gridded = grid.asks;
  say("");
}

function closeGrid() {
  byId("grid").hidden = true;
  session.gridded = [];
  document.body.classList.remove("gridded");
  for (const id of ["event", "answer"]) byId(id).hidden = false;
}

function leaveGrid() {
  session.queue.unshift(...grid.asks);
  closeGrid();
  next();
}

/** Those that are left are asked alone, or stay in the grid where `more` are to be chosen of them. */
function acceptGrid(pairs, left, more) {
  session.decide(pairs);
  last = pairs[0][1];
  warn("refusal", null);
  say(`Decided: ${counted(pairs.length, "event")}`);
  if (more && left.length) {
    session.queue.unshift(...grid.show(left));
    session.gridded = grid.asks;
    return;
  }
  session.queue.unshift(...left);
  closeGrid();
  next();
}

// ---- names

function openSearch(typed = "", further = false) {
  const purpose = grid.open ? "What are these events?" : "What is it?";
  search.open(state.labels, view?.ask.likely ?? [], { typed, further, purpose });
}

function onNamed(label, { count, further, decide: now, again }) {
  if (grid.open) {
    grid.name(label, { count, further });
    if (again) openSearch("", true);
    return;
  }
  const answer = answers.named(view.answer, label, { count, further });
  edit(answer);
  if (now && isSeen()) decide(answer);
  else if (again) openSearch("", true);
  else focusAnswer();
}

async function onNew(label, scientific, common) {
  try {
    await post("/api/label", { label, scientific, common });
    await poll();
    return true;
  } catch (error) { explain(error); return false; }
}

// ---- what keys and fingers do

function isSeen() {
  if (frames.ready) return true;
  if (frames.shownAt === null) say("Not yet: the photos are still loading");
  return false;
}

const ACTIONS = {
  accept: () => decide(view.answer),
  blank: () => decide(answers.blank(view.answer)),
  cannotTell: () => decide(answers.cannotTell(view.answer)),
  same: () => last ? decide(answers.sameAs(last, view.answer.frames)) : say("Nothing was decided yet"),
  search: letter => openSearch(letter),
  further: () => openSearch("", true),
  count: number => edit(answers.counting(view.answer, number)),
  unsure: () => edit({ ...view.answer, sure: !view.answer.sure }),
  flag: () => edit({ ...view.answer, flagged: !view.answer.flagged }),
  remark: () => { byId("words").value = view.answer.remark ?? ""; byId("remark").showModal(); },
  describe: () => describe(),
  later: () => { if (view.past === null) session.later.push(view.ask); next(); },
  previousFrame: () => moveFrame(-1),
  nextFrame: () => moveFrame(1),
  larger: () => closer.open ? closer.zoom(1.5) : closer.show(view.ask, frames.cursor),
  choose: () => closer.open ? closer.farther() : edit(answers.choosing(view.answer, frames.cursor)),
  chooseNumber: number => { if (number <= view.ask.frames.length) { frames.front(number - 1); edit(answers.choosing(view.answer, number - 1)); } },
  whole: () => view.past !== null ? next() : edit({ ...view.answer, frames: null }),
  boxes: () => { boxes = !boxes; update(); },
};
const ANYWHERE = {
  back, undo, redo, grid: openGrid,
  past: () => showPast(session, nameOf, look).catch(explain),
  disagreements: () => showDisagreements(nameOf, openEvent).catch(explain),
  help: () => byId("help").showModal(),
};

async function openEvent(event) {
  try {
    const ask = await session.ask(event);
    if (view?.past === null) session.putBack(view.ask);
    if (grid.open) closeGrid();
    showAsk(ask);
  } catch (error) { explain(error); }
}

function moveFrame(step) {
  if (closer.open) { closer.show(view.ask, closer.index + step); frames.front(closer.index); }
  else frames.front(frames.cursor + step);
}

function act(action, value) {
  if (ANYWHERE[action]) { ANYWHERE[action](); return; }
  if (!view || (DECIDING.has(action) && !isSeen())) return;
  ACTIONS[action](value);
  if (!document.querySelector("dialog[open]")) focusAnswer();
}

function onKey(press) {
  const dialog = document.querySelector("dialog[open]");
  if (dialog && dialog !== closer.dialog) return;
  if (press.target.closest("input, textarea, select")) return;
  const native = press.target.closest("button, a, summary");
  if (native && (press.key === "Enter" || press.key === " ")) return;
  const command = commandOf(press);
  if (!command) return;
  if (grid.open) {
    if (command.action === "search") { press.preventDefault(); openSearch(command.value); return; }
    if (command.action === "count" && command.value === 0) { press.preventDefault(); grid.name("blank"); return; }
    if (command.action === "whole") { press.preventDefault(); leaveGrid(); return; }
    if (!ANYWHERE[command.action]) return;
  } else if (press.shiftKey && closer.open && /^Arrow/.test(press.key)) {
    press.preventDefault();
    const [right, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[press.key];
    closer.pan(right, down);
    return;
  }
  if (closer.open && command.action === "whole") return;  // Esc closes the dialog by itself
  if (command.value !== "") press.preventDefault();
  if (press.repeat && (DECIDING.has(command.action) || ["undo", "redo", "grid"].includes(command.action))) return;  // a key held down decides nothing unseen
  act(command.action, command.value);
}

function makeButtons() {
  const button = entry => make("button", { type: "button", id: `do-${entry.action}`, class: entry.action === "accept" ? "main" : null,
    "aria-pressed": entry.toggle ? "false" : null, title: `${entry.words} (${shown(entry)})`, onclick: () => act(entry.action, "") },
  entry.button, entry.action === "disagreements" ? make("span", { class: "number" }) : null, make("kbd", { "aria-hidden": "true" }, shown(entry)));
  for (const group of ["decide", "lesser", "tools"]) byId(group).append(...KEYS.filter(entry => entry.group === group).map(button));
  byId("tools").append(
    make("button", { type: "button", id: "do-person", onclick: () => askPerson() }, "Person"));
  byId("help").append(make("h2", {}, "Keys"), make("div", { class: "long", tabindex: 0, role: "group", "aria-label": "All keys" },
    make("table", {}, make("tbody", {}, ...KEYS.map(entry => make("tr", {}, make("th", { scope: "row" }, make("kbd", {}, shown(entry))), make("td", {}, entry.words)))))),
  make("form", { method: "dialog", class: "row" }, make("button", { class: "main" }, "Close")));
}

// ---- beginning

function askPerson() {
  byId("person-name").value = session?.person ?? localStorage.getItem(PERSON) ?? "";
  byId("who").showModal();
}

async function begin(person) {
  localStorage.setItem(PERSON, person);
  if (grid.open) closeGrid();
  session?.leave();
  session = new Session(outbox, person);
  await poll();
  followStream();
  showState();
  view = null;
  await next();
}

/** The stream that the person chose, else the one that fits now. */
function followStream() {
  const own = state.streams.find(one => one.available && one.name === sessionStorage.getItem(STREAM));
  const stream = own?.name ?? state.stream;
  if (session.stream !== stream) session.forget(1);
  session.stream = stream;
}

async function poll() {
  try {
    const before = state?.teaching?.round;
    state = await get(`/api/state?${new URLSearchParams(session ? { person: session.person } : {})}`);
    if (!session) return;
    followStream();
    if (before !== undefined && before !== state.teaching?.round) session.forget(1);  // the others with new suggestions
    showState();
    if (!view) next({ only: "if nothing is shown" });
    else refill();
  } catch (error) { explain(error); }
}

function listen() {
  document.addEventListener("keydown", onKey);
  byId("stream").addEventListener("change", press => {
    session.stream = press.target.value;
    sessionStorage.setItem(STREAM, session.stream);
    session.forget();
    showState();
    if (grid.open) closeGrid();
    next();
  });
  byId("more").addEventListener("click", press => {
    const more = press.currentTarget;
    more.setAttribute("aria-expanded", String(more.getAttribute("aria-expanded") === "false"));
  });
  byId("remark").addEventListener("close", () => {
    if (byId("remark").returnValue === "keep") edit({ ...view.answer, remark: byId("words").value.trim() || null });
    focusAnswer();
  });
  byId("alike-words").addEventListener("input", () => byId("alike-words").setCustomValidity(wrong(byId("alike-words").value)));
  byId("individuals").addEventListener("close", () => {
    const { dataset: { label }, returnValue } = byId("individuals");
    if (returnValue === "keep" && view) edit(answers.describing(view.answer, label, told(byId("alike-words").value)));
    byId("individuals").returnValue = "";
    focusAnswer();
  });
  closer.dialog.addEventListener("close", focusAnswer);
  document.querySelector("main").addEventListener("click", press => {  // the keys go to the answer again, not to what was clicked
    if (press.detail > 0 && !press.target.closest("#grid, summary, input")) focusAnswer();
  });
  byId("who").addEventListener("cancel", press => { if (!session) press.preventDefault(); });
  byId("who").addEventListener("close", () => {
    const name = byId("person-name").value.trim();
    if (name && name !== session?.person) begin(name).catch(explain);
    else if (!session) askPerson();
  });
  addEventListener("beforeunload", press => { if (outbox?.size) press.preventDefault(); });
  addEventListener("pagehide", () => session?.leave());
  addEventListener("pageshow", press => { if (press.persisted) location.reload(); });  // what it shows was given back
  setInterval(() => { if (document.visibilityState === "visible") poll(); }, POLL);
}

async function start() {
  makeButtons();
  listen();
  for (;;) {
    await poll();
    if (state) break;
    await new Promise(resolve => setTimeout(resolve, 2000));
  }
  outbox = new Outbox(state.review, (unsent, why) => {
    document.body.dataset.unsent = unsent;
    if (why) explain(new Away(why));
    else if (why === null) warn("away", null);
  }, (item, why) => { warn("refusal", `Not kept: ${why}`); session?.refused(item); });
  const person = state?.person ?? localStorage.getItem(PERSON);
  if (person) await begin(person);
  else askPerson();
}

start().catch(explain);
