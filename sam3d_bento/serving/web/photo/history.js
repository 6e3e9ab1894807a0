// Changes that can be undone and redone.

const MOST = 50; // changes; a mask's change may take some megabytes

export class History {
  /** changed(): called after each step, in either direction. */
  constructor(changed) {
    this.changed = changed;
    this.clear();
  }

  clear() {
    this.done = [];
    this.undone = [];
  }

  /** Keep a change that has been made. change: {undo(), redo()}. */
  add(change) {
    this.done = [...this.done, change].slice(-MOST);
    this.undone = [];
    this.changed();
  }

  undo() {
    this.#step(this.done, this.undone, "undo");
  }

  redo() {
    this.#step(this.undone, this.done, "redo");
  }

  #step(from, to, direction) {
    const change = from.pop();
    if (!change) return;
    change[direction]();
    to.push(change);
    this.changed();
  }
}
