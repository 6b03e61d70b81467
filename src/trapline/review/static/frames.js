// The frames of an event side by side, as large as the window allows, with their boxes.

import { make, percent } from "./dom.js";
import { Away, get } from "./server.js";

const MANY = 12;
const SETTLED = 200;  // milliseconds that a picture is before the eyes until a key counts: a key that bounces is no answer

export const pictureOf = (frame, size) => `${frame.picture}${frame.picture.includes("?") ? "&" : "?"}size=${size}`;

/** Boxes over a picture, whatever its size on the screen. */
export function boxesOver(frame) {
  const svg = make("svg", { class: "boxes", viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" });
  const boxes = document.createElementNS(svg.namespaceURI, "g");
  svg.append(boxes);
  for (const box of frame.boxes ?? []) {
    const rect = make("rect", { x: box.x, y: box.y, width: box.width, height: box.height });
    rect.append(make("title", {}, `${box.category} ${percent(box.conf)}`));
    boxes.append(rect);
  }
  return svg;
}

/** Lets the boxes be where the image is, also where it does not fill its place. */
function fit(svg, image) {
  const across = image.naturalWidth / image.naturalHeight;
  svg.setAttribute("viewBox", `0 0 ${across} 1`);
  svg.setAttribute("preserveAspectRatio", "xMidYMid meet");
  svg.firstChild.setAttribute("transform", `scale(${across} 1)`);
}

/** A picture that tries again while the server is away, and says why where there is nothing to see. */
export function picture(frame, size, alt, onSettled) {
  const holder = make("span", { class: "picture" });
  const fail = why => {
    holder.replaceChildren(make("span", { class: "failed" }, why));
    onSettled();
  };
  if (frame.failed) {
    queueMicrotask(() => fail(frame.failed));  // as late as a picture that has to be fetched
    return holder;
  }
  const image = make("img", { alt, decoding: "async" });
  const boxes = boxesOver(frame);
  image.addEventListener("load", () => fit(boxes, image));
  const load = () => {
    image.src = pictureOf(frame, size);
    image.decode().then(() => onSettled(image)).catch(() => {
      if (image.complete && image.naturalWidth) return onSettled(image);
      return get(image.src).then(() => fail("This picture cannot be shown"), error => {
        if (error instanceof Away && holder.isConnected) setTimeout(load, 2000);
        else fail(error.message);
      });
    });
  };
  load();
  holder.append(image, boxes);
  return holder;
}

export class Frames {
  /** `onLarger(index)` and `onChoose(index)` are called for clicks; `onReady()` once all frames are to be seen. */
  constructor(root, { onLarger, onChoose, onReady }) {
    Object.assign(this, { root, onLarger, onChoose, onReady, ask: null, cursor: 0, shownAt: null });
    new ResizeObserver(() => this.layOut()).observe(root);
  }

  /** Whether a person has had the time to see all frames. */
  get ready() { return this.shownAt !== null && performance.now() - this.shownAt >= SETTLED; }

  show(ask) {
    this.ask = ask;
    this.cursor = 0;
    this.shownAt = null;
    this.ratios = ask.frames.map(frame => frame.width && frame.height ? frame.width / frame.height : 4 / 3);
    this.root.scrollTo(0, 0);
    const size = ask.frames.length > MANY ? "thumb" : "1600";
    let missing = ask.frames.length;
    const settled = index => image => {
      if (image?.naturalWidth) this.ratios[index] = image.naturalWidth / image.naturalHeight;
      if (--missing || this.ask !== ask) return;
      this.layOut();
      requestAnimationFrame(() => requestAnimationFrame(() => {  // after the second, the first has been painted
        if (this.ask !== ask) return;
        this.shownAt = performance.now();
        setTimeout(() => this.ask === ask && this.onReady(), SETTLED);
      }));
    };
    this.figures = ask.frames.map((frame, index) => this.figure(frame, index, size, settled(index)));
    this.root.replaceChildren(...this.figures);
    this.layOut();
    this.front(0);
  }

  figure(frame, index, size, onSettled) {
    const alt = `Frame ${index + 1} of ${this.ask.frames.length}: ${frame.name}`;
    const larger = make("button", { type: "button", class: "look", "aria-label": `${alt}, full size`, onclick: () => this.onLarger(index) },
      picture(frame, size, "", onSettled));
    const choose = make("button", { type: "button", class: "choose", "aria-pressed": "false", title: "Choose this frame: the answer is of the chosen ones",
      onclick: () => this.onChoose(index) }, `${index + 1}`, make("span", { class: "file" }, ` ${frame.name}`));
    return make("figure", {}, larger, make("figcaption", {}, choose));
  }

  /** The frame that the keys act on. */
  front(index) {
    this.cursor = Math.max(0, Math.min(index, this.figures.length - 1));
    this.figures.forEach((figure, at) => figure.classList.toggle("front", at === this.cursor && this.figures.length > 1));
    if (this.figures.length > 1) this.figures[this.cursor].scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  mark(chosen, covered) {
    this.figures.forEach((figure, index) => {
      figure.querySelector(".choose").setAttribute("aria-pressed", String(chosen?.includes(index) ?? false));
      figure.classList.toggle("chosen", chosen?.includes(index) ?? false);
      figure.classList.toggle("covered", covered.has(index));
    });
  }

  /** As many columns as make the frames largest; a strip to scroll where the window is narrow or frames are many. */
  layOut() {
    if (!this.ask) return;
    const { clientWidth: width, clientHeight: height } = this.root;
    const count = this.figures.length, narrow = matchMedia("(max-width: 48rem)").matches;
    this.root.classList.toggle("strip", narrow && count > 1);
    const caption = 34, gap = 8, ratio = Math.min(...this.ratios);
    let best = 0;
    for (let columns = 1; columns <= count; columns++) {
      const rows = Math.ceil(count / columns);
      const across = (width - gap * (columns - 1)) / columns;
      const down = ((height - gap * (rows - 1)) / rows - caption) * ratio;
      best = Math.max(best, Math.min(across, down));
    }
    const wide = narrow ? (count > 1 ? 0.86 * width : width) : Math.max(best, Math.min(width, 200));
    this.figures.forEach((figure, index) => {
      figure.style.width = `${Math.floor(wide)}px`;
      figure.querySelector(".picture").style.aspectRatio = this.ratios[index];
    });
  }
}
