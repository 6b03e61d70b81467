// Decisions on their way to the server: kept in the browser until they are acknowledged, sent in their order.
// They are those of one review: another may be served at the same address later. Each has its own key, so that two pages of one browser do not write over each other; sending one twice
// doubles nothing, because the page, not the server, makes the id of a decision.

import { Away, post } from "./server.js";

const PREFIX = "trapline-review-unsent:";
const LONGEST_WAIT = 15_000;

export class Outbox {
  /** Of the review that is so called; `onChange(unsent, why)` is told how many are unsent, and why where it is known, null when one came through;
   * `onRefused(item, why)` what the server will not take. */
  constructor(review, onChange, onRefused) {
    this.prefix = `${PREFIX}${review}:`;
    this.onChange = onChange;
    this.onRefused = onRefused;
    this.items = Object.keys(localStorage).filter(key => key.startsWith(this.prefix)).sort()
      .map(key => ({ key, ...JSON.parse(localStorage.getItem(key)) }));
    this.number = 0;
    this.sending = false;
    this.waiting = [];
    this.onChange(this.size);
    this.send();
  }

  get size() { return this.items.length; }

  add(path, body) {
    const key = `${this.prefix}${String(Date.now()).padStart(15, "0")}-${String(this.number++).padStart(6, "0")}-${crypto.randomUUID()}`;
    localStorage.setItem(key, JSON.stringify({ path, body }));
    this.items.push({ key, path, body });
    this.onChange(this.size);
    this.send();
  }

  async send(wait = 500) {
    if (this.sending) return;
    this.sending = true;
    while (this.items.length) {
      const item = this.items[0];
      try {
        await post(item.path, item.body);
      } catch (error) {
        if (error instanceof Away) {
          this.onChange(this.size, error.message);
          await new Promise(resolve => setTimeout(resolve, wait));
          wait = Math.min(2 * wait, LONGEST_WAIT);
          continue;
        }
        this.onRefused(item, error.message);
      }
      wait = 500;
      localStorage.removeItem(item.key);
      this.items.shift();
      this.onChange(this.size, null);
    }
    this.sending = false;
    this.waiting.splice(0).forEach(resolve => resolve());
  }

  /** Resolves when everything is acknowledged. */
  emptied() { return this.size ? new Promise(resolve => this.waiting.push(resolve)) : Promise.resolve(); }
}
