// The answer that is being put together for an event, before it is decided. Pure functions: an answer in, an answer out.
import { described } from "./individuals.js";

// {verdict: "seen" | "blank" | "cannot tell" | null, labels: [{label, count, life_stage, sex, behaviour}], sure, flagged, remark, frames: null | [index…]}

export const EMPTY = { verdict: null, labels: [], sure: true, flagged: false, remark: null, frames: null };

/** A label; its individuals are as many and as they are told to be, one entry for those that are alike. */
const seen = (label, told = {}) => ({ label, count: null, life_stage: null, sex: null, behaviour: null, ...told });

/** What is filled in when an event is shown: the suggestion. */
export function suggested(ask) {
  const names = (ask.suggestion?.labels ?? []).map(one => one.label);
  if (!names.length) return { ...EMPTY };
  return names.includes("blank") ? { ...EMPTY, verdict: "blank" }
    : { ...EMPTY, verdict: "seen", labels: names.map(label => seen(label)) };
}

/** What was decided, to be looked at again. */
export const decided = decision => ({
  verdict: decision.verdict, labels: decision.labels.map(one => ({ ...one })), sure: decision.sure,
  flagged: decision.flagged, remark: decision.remark ?? null, frames: decision.frames ?? null,
});

export const blank = answer => ({ ...answer, verdict: "blank", labels: [] });
export const cannotTell = answer => ({ ...answer, verdict: "cannot tell", labels: [] });

/** The label in the place of all others, or beside them. */
export function named(answer, label, { count = null, further = false } = {}) {
  if (label === "blank") return blank(answer);
  const before = further && answer.verdict === "seen" ? answer.labels.filter(one => one.label !== label) : [];
  return { ...answer, verdict: "seen", labels: [...before, seen(label, { count })] };
}

export function without(answer, index) {
  const labels = answer.labels.toSpliced(index, 1);
  return { ...answer, labels, verdict: labels.length ? "seen" : null };
}

/** How many of an entry; of the one named last where none is said. 0 takes the count away. */
export function counting(answer, count, index = answer.labels.length - 1) {
  const labels = answer.labels.map((one, at) => at === index ? { ...one, count: count || null } : one);
  return { ...answer, labels };
}

/** The individuals of a label as they are told: an entry for each that differs, none for the label as it was. */
export function describing(answer, label, told) {
  const at = answer.labels.findIndex(one => one.label === label);
  const others = answer.labels.filter(one => one.label !== label);
  return { ...answer, labels: others.toSpliced(at, 0, ...(told.length ? told : [{}]).map(one => seen(label, one))) };
}

/** Frame `index` among the chosen ones, or no longer; none chosen means the whole event. */
export function choosing(answer, index) {
  const frames = new Set(answer.frames ?? []);
  frames.has(index) ? frames.delete(index) : frames.add(index);
  return { ...answer, frames: frames.size ? [...frames].sort((a, b) => a - b) : null };
}

/** The same verdict and labels, of the frames that are chosen now. */
export const sameAs = (last, frames) => ({ ...decided(last), remark: null, frames });

export const equal = (one, other) => JSON.stringify(decided(one)) === JSON.stringify(decided(other));

/** In words; `nameOf(label)` is how a label is called. */
export function inWords(answer, nameOf) {
  const words = answer.verdict === "seen"
    ? answer.labels.map(one => [(one.count ? `${one.count} × ` : "") + nameOf(one.label), described(one)].filter(Boolean).join(" ")).join(" + ")
    : answer.verdict ?? "no answer yet";
  return words + (answer.sure ? "" : ", not sure") + (answer.flagged ? ", flagged" : "");
}
