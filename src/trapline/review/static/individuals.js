// The individuals of a label in a few words: "2 adult female, 3 juvenile feeding". Pure functions.

const WORDS = { life_stage: ["adult", "subadult", "juvenile"], sex: ["female", "male"] };  // Camtrap DP's

/** What is known of individuals that are alike, but for how many they are. */
export const described = one => [one.life_stage, one.sex, one.behaviour].filter(Boolean).join(" ");

/** As it is typed. */
export const asTyped = labels => labels.map(one => [one.count, described(one)].filter(Boolean).join(" ")).filter(Boolean).join(", ");

/**
 * What was typed: an entry for individuals that are alike, with commas between them. A number is how many, the beginning of a
 * life stage or a sex is that ("a f"), and every other word what they do.
 */
export function told(typed) {
  return typed.split(",").map(part => part.trim().split(/\s+/).filter(Boolean)).filter(words => words.length).map(words => {
    const one = { count: null, life_stage: null, sex: null, behaviour: null };
    const doing = [];
    for (const word of words) {
      const field = Object.keys(WORDS).find(name => one[name] === null && meant(name, word));
      if (/^\d+$/.test(word) && one.count === null) one.count = Number(word) || null;
      else if (field) one[field] = meant(field, word);
      else doing.push(word);
    }
    if (doing.length) one.behaviour = doing.join(" ");
    return one;
  });
}

const meant = (name, word) => WORDS[name].find(value => value.startsWith(word.toLowerCase()));
