// One frame at full size: nearer and farther by keys, wheel or fingers, moved by keys or dragging.

import { byId, make } from "./dom.js";
import { picture } from "./frames.js";

const NEAREST = 16;

export class Closer {
  constructor() {
    this.dialog = byId("closer");
    this.stage = make("div", { class: "stage", tabindex: 0, role: "group", "aria-label": "The photo", autofocus: true });
    this.caption = make("p", { class: "row" });
    this.dialog.append(this.stage, this.caption);
    this.pointers = new Map();
    this.stage.addEventListener("wheel", press => {
      press.preventDefault();
      this.zoom(press.deltaY < 0 ? 1.25 : 0.8, press);
    }, { passive: false });
    this.stage.addEventListener("pointerdown", press => {
      this.stage.setPointerCapture(press.pointerId);
      this.pointers.set(press.pointerId, press);
    });
    this.stage.addEventListener("pointermove", press => this.drag(press));
    for (const kind of ["pointerup", "pointercancel"]) {
      this.stage.addEventListener(kind, press => this.pointers.delete(press.pointerId));
    }
  }

  get open() { return this.dialog.open; }

  show(ask, index) {
    this.ask = ask;
    this.index = Math.max(0, Math.min(index, ask.frames.length - 1));
    const frame = ask.frames[this.index];
    const words = `Frame ${this.index + 1} of ${ask.frames.length}: ${frame.name}`;
    this.look = picture(frame, "1600", words, () => this.fit());
    this.stage.replaceChildren(this.look);
    const button = (text, act) => make("button", { type: "button", onclick: act }, text);
    this.caption.replaceChildren(make("span", { class: "file" }, words), button("Nearer", () => this.zoom(1.5)),
      button("Farther", () => this.farther()), button("Close", () => this.close()));
    if (!this.open) this.dialog.showModal();
    this.fit();
  }

  close() {
    this.dialog.close();
    this.stage.replaceChildren();
  }

  fit() {
    const image = this.look.querySelector("img");
    const frame = this.ask.frames[this.index];
    const ratio = image?.naturalWidth ? image.naturalWidth / image.naturalHeight : (frame.width ?? 4) / (frame.height ?? 3);
    const wide = Math.min(this.stage.clientWidth, this.stage.clientHeight * ratio);
    this.look.style.width = `${wide}px`;
    this.look.style.aspectRatio = ratio;
    this.scale = 1;
    this.x = this.y = 0;
    this.move();
  }

  /** Nearer by a factor, about the pointer where there is one. */
  zoom(factor, about = null) {
    const scale = Math.max(1, Math.min(NEAREST, this.scale * factor));
    const frame = this.stage.getBoundingClientRect();
    const dx = about ? about.clientX - frame.x - frame.width / 2 : 0;
    const dy = about ? about.clientY - frame.y - frame.height / 2 : 0;
    this.x = dx - (dx - this.x) * scale / this.scale;
    this.y = dy - (dy - this.y) * scale / this.scale;
    this.scale = scale;
    this.move();
  }

  farther() { this.scale > 1 ? this.zoom(1 / 1.5) : this.close(); }

  pan(right, down) {
    this.x -= right * 80;
    this.y -= down * 80;
    this.move();
  }

  drag(press) {
    const before = this.pointers.get(press.pointerId);
    if (!before) return;
    const others = [...this.pointers.values()].filter(one => one.pointerId !== press.pointerId);
    if (others.length) {
      const apart = one => Math.hypot(one.clientX - others[0].clientX, one.clientY - others[0].clientY);
      this.zoom(apart(press) / Math.max(1, apart(before)), press);
    } else {
      this.x += press.clientX - before.clientX;
      this.y += press.clientY - before.clientY;
      this.move();
    }
    this.pointers.set(press.pointerId, press);
  }

  move() {
    const limit = (size, room) => Math.max(0, (size * this.scale - room) / 2);
    const x = limit(this.look.offsetWidth, this.stage.clientWidth), y = limit(this.look.offsetHeight, this.stage.clientHeight);
    this.x = Math.max(-x, Math.min(x, this.x));
    this.y = Math.max(-y, Math.min(y, this.y));
    this.look.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
  }
}
