// Naming what is seen by a few letters; a name that nobody knows yet is asked about once and added.

import { byId, make, percent } from "./dom.js";
import { isKnown, matching } from "./names.js";

const SHOWN = 8;

export class Search {
  /**
   * `onNamed(label, {count, further, decide})` is called with what was chosen; `onNew(label, scientific, common)`
   * adds one and resolves when the server has it.
   */
  constructor({ onNamed, onNew }) {
    Object.assign(this, { onNamed, onNew, dialog: byId("search"), typed: byId("typed"), list: byId("names"), form: byId("new-label") });
    this.typed.addEventListener("input", () => this.update());
    this.typed.addEventListener("keydown", press => this.key(press));
    this.form.addEventListener("submit", press => { press.preventDefault(); this.addNew(); });
    byId("no-label").addEventListener("click", () => { this.form.hidden = true; this.typed.focus(); });
  }

  /** Opens, with what is typed already; `purpose` says in words what is named. */
  open(labels, likely, { typed = "", further = false, purpose = "What is it?" } = {}) {
    Object.assign(this, { labels, further, likely: new Map(likely.map(one => [one.label, one.probability])) });
    byId("asked-for").textContent = further ? "What else is there?" : purpose;
    this.form.hidden = true;
    this.typed.value = typed;
    if (!this.dialog.open) this.dialog.showModal();
    this.typed.focus();
    this.update();
  }

  update() {
    this.hits = matching(this.labels, this.typed.value, this.likely).slice(0, SHOWN);
    this.at = 0;
    const name = this.typed.value.trim();
    this.offersNew = name !== "" && !isKnown(this.labels, name);
    const options = this.hits.map((one, index) => this.option(index, one.common || one.label,
      [one.common && one.common !== one.label ? one.label : null, one.scientific !== one.label ? one.scientific : null].filter(Boolean).join(" · "),
      percent(this.likely.get(one.label) ?? null), () => this.choose(index, { decide: false })));
    if (this.offersNew) options.push(this.option(this.hits.length, `New label: “${name}”`, "", "", () => this.askNew()));
    this.list.replaceChildren(...options);
    this.move(0);
  }

  option(index, name, other, share, onclick) {
    return make("li", { role: "option", id: `name-${index}`, onclick }, make("span", {}, name), make("small", {}, other), make("small", {}, share));
  }

  move(at) {
    const options = [...this.list.children];
    this.at = Math.max(0, Math.min(at, options.length - 1));
    options.forEach((option, index) => option.setAttribute("aria-selected", String(index === this.at)));
    options.length ? this.typed.setAttribute("aria-activedescendant", `name-${this.at}`) : this.typed.removeAttribute("aria-activedescendant");
  }

  key(press) {
    const done = () => press.preventDefault();
    if (press.isComposing || press.repeat && press.key === "Enter") return;
    if (press.key === "ArrowDown") { done(); this.move(this.at + 1); }
    else if (press.key === "ArrowUp") { done(); this.move(this.at - 1); }
    else if (press.key === "Backspace" && this.typed.value === "") { done(); this.dialog.close(); }
    else if (press.key === "Enter") { done(); this.choose(this.at, { decide: true }); }
    else if (press.key === "+") { done(); this.choose(this.at, { decide: false, again: true }); }
    else if (/^[1-9]$/.test(press.key) && !matching(this.labels, this.typed.value + press.key).length) {
      done();
      this.choose(this.at, { decide: false, count: Number(press.key) });
    }
  }

  choose(index, { decide, count = null, again = false }) {
    if (index >= this.hits.length) { if (this.offersNew) this.askNew(); return; }
    const { label } = this.hits[index];
    this.dialog.close();
    this.onNamed(label, { count, further: this.further, decide: decide && !this.further, again });
  }

  askNew() {
    byId("new-name").textContent = this.typed.value.trim();
    for (const field of this.form.querySelectorAll("input")) field.value = "";
    this.form.hidden = false;
    this.form.querySelector("button").focus();
  }

  async addNew() {
    const label = this.typed.value.trim();
    if (!await this.onNew(label, byId("new-scientific").value.trim() || null, byId("new-common").value.trim() || null)) return;
    this.dialog.close();
    this.onNamed(label, { count: null, further: this.further, decide: false, again: false });
  }
}
