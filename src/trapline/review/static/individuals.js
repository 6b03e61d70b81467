// The individuals of a label in a few words: "2 adult female, 3 juvenile feeding". Pure functions.

const WORDS = { life_stage: ["adult", "subadult", "juvenile"], sex: ["female", "male"] };  // Camtrap DP's
const MOST = 1000000;  // as the server takes

/** What is known of individuals that are alike, but for how many they are. */
export const described = one => [one.life_stage, one.sex, one.behaviour].filter(Boolean).join(" ");

/** As it is typed. */
export const asTyped = labels => labels.map(one => [one.count, described(one)].filter(Boolean).join(" ")).filter(Boolean).join(", ");

/**
 * What was typed: an entry for individuals that are alike, with commas between them. A number is how many, the beginning of a
 * life stage or a sex (or several of it: "males") is that ("a f"), and every other word is what they do. Entries that are alike
 * in all but number are one.
 */
export function told(typed) {
  const alike = new Map();
  for (const one of parts(typed).map(entry)) {
    const kind = described(one), before = alike.get(kind);
    if (before) one.count = before.count && one.count ? before.count + one.count : null;
    alike.set(kind, one);
  }
  return [...alike.values()];
}

/** Why what was typed cannot be kept as it is; "" where it can. */
export function wrong(typed) {
  for (const part of parts(typed)) {
    const { behaviour } = entry(part);
    const odd = behaviour?.split(" ").find(word => /\d/.test(word) || fieldOf(word));
    if (odd) return `“${odd}” is too much in “${part.join(" ")}”: one whole number of 1 to ${MOST}, one age and one sex, and a comma between animals that differ`;
  }
  return told(typed).some(one => one.count > MOST) ? `More than ${MOST} cannot be kept` : "";
}

const parts = typed => typed.split(/[,;]/).map(part => part.trim().split(/\s+/).filter(Boolean)).filter(words => words.length);

function entry(words) {
  const one = { count: null, life_stage: null, sex: null, behaviour: null };
  const doing = [];
  for (const word of words) {
    const field = fieldOf(word);
    if (/^\d+$/.test(word) && Number(word) >= 1 && Number(word) <= MOST && one.count === null) one.count = Number(word);
    else if (field && one[field] === null) one[field] = meant(field, word);
    else doing.push(word);
  }
  if (doing.length) one.behaviour = doing.join(" ");
  return one;
}

const fieldOf = word => Object.keys(WORDS).find(name => meant(name, word));

function meant(name, word) {
  const plain = word.toLowerCase().replace("-", "");
  return WORDS[name].find(value => plain && (value.startsWith(plain) || `${value}s` === plain));
}
