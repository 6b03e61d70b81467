// Every key of the page, once: what is pressed, what is done, and the words for help and buttons.

export const KEYS = [
  { action: "accept", keys: ["Enter"], button: "Accept", group: "decide", words: "accept the answer that is filled in" },
  { action: "blank", keys: [" "], shown: "Space", button: "Blank", group: "decide", words: "nothing is there" },
  { action: "search", keys: [], shown: "letters", button: "Other …", group: "decide", words: "another label: type some letters of its common or scientific name, Enter takes the first" },
  { action: "further", keys: ["+"], button: "Add species", group: "decide", words: "a further species beside the first" },
  { action: "count", keys: [], shown: "1–9", words: "how many of the species named last; 0 takes the number away" },
  { action: "describe", keys: ["'"], button: "Individuals …", group: "lesser", words: "how many, how old, which sex, doing what, of the species named last: “2 adult female, 3 juvenile feeding”, or “2 a f, 3 j feeding”" },
  { action: "cannotTell", keys: ["-"], button: "Cannot tell", group: "decide", words: "it cannot be told; kept, and never a label" },
  { action: "same", keys: ["="], button: "Same as last", group: "decide", words: "the same as the last decision" },
  { action: "unsure", keys: ["."], button: "Not sure", toggle: true, group: "lesser", words: "not sure: the answer is kept with that mark" },
  { action: "flag", keys: [";"], button: "Flag", toggle: true, group: "lesser", words: "flag: to be looked at again" },
  { action: "remark", keys: [","], button: "Remark …", group: "lesser", words: "a remark in words" },
  { action: "back", keys: ["Backspace"], shown: "⌫", button: "Back", group: "lesser", words: "look at the decision before; deciding again replaces it, Esc returns" },
  { action: "undo", keys: ["ctrl+z"], shown: "Ctrl+Z", button: "Undo", group: "lesser", words: "take the last decision back, without end" },
  { action: "redo", keys: ["ctrl+y", "ctrl+shift+z"], shown: "Ctrl+Y", button: "Redo", group: "lesser", words: "decide again what was taken back" },
  { action: "later", keys: ["PageDown"], shown: "PgDn", button: "Later", group: "lesser", words: "leave this event undecided for now" },
  { action: "previousFrame", keys: ["ArrowLeft"], shown: "←", words: "the frame before" },
  { action: "nextFrame", keys: ["ArrowRight"], shown: "→", words: "the next frame" },
  { action: "larger", keys: ["ArrowUp"], shown: "↑", words: "this frame at full size; again: nearer" },
  { action: "choose", keys: ["ArrowDown"], shown: "↓", words: "choose this frame: the answer is then of the chosen frames alone. At full size: farther, and out" },
  { action: "chooseNumber", keys: [], shown: "Shift+1–9", words: "choose frame 1 to 9" },
  { action: "whole", keys: ["Escape"], shown: "Esc", words: "the whole event again; close what is open" },
  { action: "boxes", keys: [":"], button: "Boxes", toggle: true, group: "lesser", words: "show or hide the boxes" },
  { action: "grid", keys: ["F2"], button: "Grid", group: "tools", words: "many events at once: arrows move, Space marks, letters name, 0 is blank; Enter accepts those not marked, Shift+Enter the marked" },
  { action: "past", keys: ["F8"], button: "Decided", group: "tools", words: "what was decided, the latest first" },
  { action: "disagreements", keys: ["F9"], button: "Disagreements", group: "tools", words: "events of which two people say different things" },
  { action: "help", keys: ["?"], button: "Keys", group: "tools", words: "these keys" },
];

export const shown = entry => entry.shown ?? entry.keys[0];

const COMMANDS = new Map(KEYS.flatMap(entry => entry.keys.map(key => [key, entry.action])));

/** What a key press asks for: {action, value?}, or null where it is not for the page. */
export function commandOf(press) {
  const { key, code, ctrlKey, metaKey, altKey, shiftKey } = press;
  if (ctrlKey || metaKey) {
    const action = COMMANDS.get(`ctrl+${shiftKey ? "shift+" : ""}${key.toLowerCase()}`);
    return action ? { action } : null;
  }
  if (COMMANDS.has(key)) return { action: COMMANDS.get(key) };
  if (shiftKey && !/^\d$/.test(key) && /^Digit[1-9]$/.test(code)) {  // what Shift makes of a digit differs by keyboard
    return { action: "chooseNumber", value: Number(code.at(-1)) };
  }
  if (altKey) return null;
  if (/^\d$/.test(key)) return { action: "count", value: Number(key) };
  if (/^\p{L}$/u.test(key)) return { action: "search", value: key };
  return key === "Dead" || key === "Process" ? { action: "search", value: "" } : null;
}
