// What one person does with one project: events asked ahead, decisions on their way, what was done and taken back.
// Nothing of the page's looks.

import { get, post } from "./server.js";
import { decided } from "./answer.js";

const AHEAD = 6;
const MOST = 500;  // decisions that the server tells at once

export class Session {
  constructor(outbox, person) {
    Object.assign(this, { outbox, person, stream: null, queue: [], current: null, gridded: [], later: [], actions: [], undone: [], filling: null, exhausted: false, dropped: [] });
  }

  /** The events that this page has, so that they are not asked for again. */
  holding() { return [...new Set([...this.waiting(), ...this.unsent()])]; }

  /** Those that nobody decided yet. */
  waiting() {
    const shown = this.current ? [this.current] : [];
    return [...this.queue, ...shown, ...this.gridded, ...this.later].map(ask => ask.event);
  }

  unsent() { return this.outbox.items.flatMap(item => item.body.decisions ?? [item.body]).map(one => one.event).filter(Boolean); }

  /** What this page shows no longer is lent no longer; with `leaving` the page is being closed. */
  async giveBack(events, leaving = false) {
    const kept = new Set(this.unsent());
    const free = events.filter(event => !kept.has(event));
    if (free.length) await post("/api/give_back", { person: this.person, events: free }, { leaving });
  }

  /** The page is closed, or somebody else decides: others may be asked for what waits here. */
  leave() { this.giveBack([...this.waiting(), ...this.dropped], true).catch(() => null); }  // else they are lent for ten minutes

  /** Asks for events until `count` wait; one request at a time. */
  async fill(count = AHEAD) {
    if (this.filling) await this.filling.catch(() => null);
    if (this.filling || this.queue.length >= count) return;
    const stream = this.stream;
    this.filling = this.request(stream, count - this.queue.length);
    try {
      const { asks } = await this.filling;
      if (stream === this.stream) this.take(asks);
      else this.dropped.push(...asks.map(ask => ask.event));
    } finally {
      this.filling = null;
    }
    if (stream !== this.stream) await this.fill(count);
  }

  /** What was let go is given back first, so that what is lent anew stays lent. */
  async request(stream, count) {
    await this.giveBack(this.dropped.splice(0));
    return post("/api/next", { person: this.person, stream, count, holding: this.holding() });
  }

  /** Events that came; what the page has already is not shown twice. */
  take(asks) {
    const held = new Set(this.holding());
    this.queue.push(...asks.filter(ask => !held.has(ask.event)));
    this.exhausted = this.queue.length === 0;
    if (this.exhausted) this.queue = this.later.splice(0);
  }

  /** Other events are asked for, or the same with new suggestions: what waits unseen is let go, but for the next `keep`. */
  forget(keep = 0) {
    this.dropped.push(...this.queue.splice(keep).map(ask => ask.event));
    this.exhausted = false;
  }

  /** Puts an event in front of those that wait. */
  putBack(ask) { if (ask) this.queue.unshift(ask); }

  decisionOf(ask, answer) {
    return { decision_id: crypto.randomUUID(), ask: ask.ask, event: ask.event, person: this.person, ...decided(answer) };
  }

  /** Keeps one decision an event: [[ask, answer], …]. */
  decide(pairs) {
    const decisions = pairs.map(([ask, answer]) => this.decisionOf(ask, answer));
    this.send(decisions);
    this.actions.push({ asks: pairs.map(([ask]) => ask), decisions });
    this.undone = [];
  }

  send(decisions) {
    if (decisions.length === 1) this.outbox.add("/api/decide", decisions[0]);
    else this.outbox.add("/api/decide_many", { decisions });
  }

  /** What the server will not keep is not decided: its events are asked again. */
  refused({ body }) {
    const ids = new Set((body.decisions ?? [body]).map(one => one.decision_id));
    for (const action of this.actions.filter(one => one.decisions.some(decision => ids.has(decision.decision_id)))) {
      this.actions.splice(this.actions.indexOf(action), 1);
      this.queue.unshift(...action.asks);
    }
  }

  /** Takes back what was done last, also before this page was opened; null where there is nothing more. */
  async undo() {
    const action = this.actions.pop() ?? await this.earlier();
    if (!action) return null;
    for (const { decision_id } of action.decisions) this.outbox.add("/api/take_back", { decision_id, person: this.person });
    this.undone.push(action);
    return action;
  }

  /** Decides again what was taken back last; null where nothing was. */
  redo() {
    const action = this.undone.pop();
    if (!action) return null;
    const decisions = action.decisions.map(one => ({ ...one, decision_id: crypto.randomUUID() }));
    const events = new Set(decisions.map(one => one.event));
    this.queue = this.queue.filter(ask => !events.has(ask.event));
    this.send(decisions);
    this.actions.push({ ...action, decisions });
    return action;
  }

  /** This person's decisions that stand, the latest first; `before` a decision's id. */
  async history(count, before = undefined) {
    const standing = [];
    for (let last = before; standing.length < count;) {
      const query = new URLSearchParams({ person: this.person, count: Math.min(count, MOST) });
      if (last) query.set("before", last);
      const { decisions } = await get(`/api/history?${query}`);
      standing.push(...decisions.filter(one => !one.taken_back));
      if (!decisions.length) break;
      last = decisions.at(-1).decision_id;
    }
    return standing.slice(0, count);
  }

  ask(event) { return get(`/api/event?${new URLSearchParams({ event, person: this.person })}`); }

  async earlier() {
    await this.outbox.emptied();
    const [decision] = await this.history(1);
    if (!decision) return null;
    const ask = await this.ask(decision.event);
    return { asks: [ask], decisions: [{ ...this.decisionOf(ask, decision), decision_id: decision.decision_id }] };
  }
}
