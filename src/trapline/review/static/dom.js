// Small things every part of the page uses: elements, and how numbers and times are written.

export const byId = id => document.getElementById(id);

/** An element; `props` are attributes, or listeners where their name begins with "on". */
export function make(tag, props = {}, ...children) {
  const svg = ["svg", "rect", "path", "polyline", "polygon", "line", "circle", "text", "title"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

export function percent(p) {
  if (p === null || p === undefined) return "";
  return p > 0 && p < 0.0005 ? "< 0.1 %" : `${(100 * p).toFixed(p > 0.0995 ? 0 : 1)} %`;
}

/** "1 event", "3 events". */
export const counted = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

export function duration(seconds) {
  if (seconds === null || seconds === undefined || !isFinite(seconds)) return "";
  const minutes = Math.ceil(seconds / 60);
  return minutes < 90 ? counted(minutes, "minute") : counted(Math.round(minutes / 60), "hour");
}

export const clock = text => text ? text.replace("T", " ").replace(/\.\d+/, "").replace(/(Z|\+00:00)$/, " UTC") : "";
