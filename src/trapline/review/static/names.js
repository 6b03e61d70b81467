// Which labels are meant by a few letters, the most likely first.

const plain = text => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
const words = text => plain(text).split(/[^\p{L}\p{N}]+/u).filter(Boolean);

/**
 * The labels some name of which has, for each word typed, a word that begins so.
 * Likely ones of this event come first; then those whose name begins with what is typed, then what was decided often.
 */
export function matching(labels, typed, likely = new Map()) {
  const asked = words(typed);
  const hits = labels.filter(one => [one.label, one.common, one.scientific].some(name => {
    const parts = name ? words(name) : [];
    return asked.length ? asked.every(word => parts.some(part => part.startsWith(word))) : parts.length > 0;
  }));
  const begins = one => [one.label, one.common, one.scientific].some(name => name && plain(name).startsWith(plain(typed.trim())));
  const rank = one => [likely.get(one.label) ?? 0, begins(one) ? 1 : 0, one.count ?? 0];
  return hits.map(one => ({ one, key: rank(one) }))
    .sort((a, b) => b.key[0] - a.key[0] || b.key[1] - a.key[1] || b.key[2] - a.key[2] || a.one.label.localeCompare(b.one.label))
    .map(hit => hit.one);
}

/** Whether a label has exactly this name. */
export const isKnown = (labels, typed) =>
  labels.some(one => [one.label, one.common, one.scientific].some(name => name && plain(name) === plain(typed.trim())));
