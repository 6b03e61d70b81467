// Many events at once: those that are taken for the same, or that look alike. What is marked stays to be asked alone.

import { counted, make } from "./dom.js";
import { picture } from "./frames.js";
import { EMPTY, inWords, named, suggested } from "./answer.js";

const FRAMES = 9;

const surest = frame => Math.max(0, ...(frame.boxes ?? []).map(box => box.conf ?? 1));
const kindOf = ask => ask.group !== null && ask.group !== undefined ? `group ${ask.group}` : inWords(suggested(ask), label => label);

export class Grid {
  /** `onAccept([[ask, answer], …], left)` gets the decided and those that are not; `say(words)` tells the person. */
  constructor(root, { onAccept, onLeave, onName, nameOf, say }) {
    Object.assign(this, { root, onAccept, onLeave, onName, nameOf, say, asks: [] });
    this.root.addEventListener("keydown", press => this.key(press));
  }

  get open() { return !this.root.hidden; }

  /** Shows the largest set of events that belong together; returns those that do not. */
  show(asks) {
    const sets = new Map();
    for (const ask of asks) sets.set(kindOf(ask), [...(sets.get(kindOf(ask)) ?? []), ask]);
    const [, chosen] = [...sets].sort((a, b) => b[1].length - a[1].length)[0] ?? [null, []];
    this.asks = chosen;
    this.all = null;  // the answer of all that are not marked; null for what is filled in of each
    this.marked = new Set();
    this.unseen = new Set(chosen.map((_, index) => index));
    this.pending = chosen.map(ask => Math.min(FRAMES, ask.frames.length));
    this.tiles = chosen.map((ask, index) => this.tile(ask, index));
    const button = (text, act, main) => make("button", { type: "button", class: main ? "main" : null, onclick: act }, text);
    this.title = make("h2", { tabindex: -1 });
    this.acceptButton = button("", () => this.accept(), true);
    this.markedButton = button("", () => this.accept({ marked: true }));
    this.root.replaceChildren(this.title,
      make("p", {}, "Mark (Space) what is not so and accept the others (Enter), or mark what is so and accept that (Shift+Enter). Letters name, 0 is blank."),
      make("div", { class: "tiles", role: "group", "aria-label": "Events" }, ...this.tiles),
      make("p", { class: "row" }, this.acceptButton, this.markedButton, button("Blank (0)", () => this.name("blank")), button("Other …", () => this.onName()), button("One by one (Esc)", () => this.onLeave())));
    this.root.hidden = false;
    this.watch();
    this.update();
    this.focus(0);
    return asks.filter(ask => !chosen.includes(ask));
  }

  tile(ask, index) {
    const frames = [...ask.frames].sort((a, b) => surest(b) - surest(a)).slice(0, FRAMES).sort((a, b) => a.index - b.index);
    const across = Math.ceil(Math.sqrt(frames.length));
    const pictures = make("span", { class: `mosaic across-${across}` },
      ...frames.map(frame => picture(frame, "thumb", "", () => this.settled(index))));
    const left = ask.frames.length - frames.length;
    return make("button", { type: "button", class: "tile", "aria-pressed": "false", tabindex: -1, onclick: () => { this.mark(index); this.focus(index); } },
      pictures, make("span", { class: "words" }), left ? make("small", {}, ` and ${counted(left, "frame")} more`) : null);
  }

  settled(index) { if (--this.pending[index] === 0 && this.visible?.has(index)) this.seen(index); }

  seen(index) {
    this.unseen.delete(index);
    this.tiles[index].dataset.seen = "";
  }

  /** An event counts as seen when its pictures are there and its tile was in the window. */
  watch() {
    this.observer?.disconnect();
    this.visible = new Set();
    this.observer = new IntersectionObserver(entries => {
      for (const entry of entries) {
        const index = this.tiles.indexOf(entry.target);
        if (!entry.isIntersecting) { this.visible.delete(index); continue; }
        this.visible.add(index);
        if (this.pending[index] <= 0) this.seen(index);
      }
    }, { threshold: 0.6 });
    for (const tile of this.tiles) this.observer.observe(tile);
  }

  answerOf(ask) { return this.all ?? suggested(ask); }

  update() {
    const left = this.asks.length - this.marked.size;
    const names = new Set(this.asks.map(ask => inWords(this.answerOf(ask), this.nameOf)));
    const words = names.size === 1 ? [...names][0] : "as filled in";
    this.title.textContent = this.asks.length ? `${counted(this.asks.length, "event")}: ${words}?` : "Nothing to show";
    this.acceptButton.textContent = `Accept ${left}: ${words} (Enter)`;
    this.markedButton.textContent = `Only the ${this.marked.size} marked (Shift+Enter)`;
    this.markedButton.hidden = !this.marked.size;
    this.tiles.forEach((tile, index) => {
      tile.setAttribute("aria-pressed", String(this.marked.has(index)));
      tile.setAttribute("aria-label", `Event ${index + 1}: ${inWords(this.answerOf(this.asks[index]), this.nameOf)}`);
      tile.querySelector(".words").textContent = (this.marked.has(index) ? "marked · " : "") + inWords(this.answerOf(this.asks[index]), this.nameOf);
    });
  }

  name(label, { count = null, further = false } = {}) {
    this.all = named(this.all ?? EMPTY, label, { count, further });
    this.update();
    this.focus(this.at);
  }

  mark(index) {
    this.marked.has(index) ? this.marked.delete(index) : this.marked.add(index);
    this.update();
  }

  focus(index) {
    if (!this.tiles.length) { this.title.focus(); return; }
    this.at = Math.max(0, Math.min(index, this.tiles.length - 1));
    this.tiles.forEach((tile, at) => { tile.tabIndex = at === this.at ? 0 : -1; });
    this.tiles[this.at].focus();
  }

  columns() {
    const top = this.tiles[0].offsetTop;
    const next = this.tiles.findIndex(tile => tile.offsetTop > top);
    return next === -1 ? this.tiles.length : next;
  }

  key(press) {
    if (!press.target.closest(".tile")) return;
    const across = this.columns();
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[press.key];
    if (step) {
      press.preventDefault();
      press.stopPropagation();
      this.focus(this.at + step);
    } else if (press.key === "Enter") {
      press.preventDefault();
      press.stopPropagation();
      if (!press.repeat) this.accept({ marked: press.shiftKey });
    }
  }

  /** All that are not marked, or those that are. */
  accept({ marked = false } = {}) {
    const all = this.asks.map((ask, index) => ({ ask, index, answer: this.answerOf(ask) }));
    const chosen = all.filter(one => this.marked.has(one.index) === marked);
    if (!chosen.length) { this.say("None is chosen"); return; }
    const unseen = chosen.filter(one => this.unseen.has(one.index));
    if (unseen.length) {
      this.focus(unseen[0].index);
      this.say(`${counted(unseen.length, "event")} not yet seen: further down, or still loading`);
      return;
    }
    const nameless = chosen.find(one => one.answer.verdict === null);
    if (nameless) {
      this.focus(nameless.index);
      this.say("Nothing is filled in: type letters to name them all, 0 for blank");
      return;
    }
    this.onAccept(chosen.map(one => [one.ask, one.answer]), all.filter(one => !chosen.includes(one)).map(one => one.ask), marked);
  }
}
