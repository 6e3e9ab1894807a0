// The mask editor: pointer and keys on the canvas, and the buttons below it.

import { announce, byId } from "./dom.js";
import { MaskView } from "./mask_view.js";
import { text } from "./texts.js";

const LARGEST_BRUSH = 0.15; // radius, as a share of the photo's longer side
const KEY_STEP = 0.02; // step of an arrow key, as a share of the photo's longer side
const KEY_MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class MaskEditor {
  /** changed(): called after each change of the mask, undo and redo included. */
  constructor(changed) {
    this.canvas = byId("mask-canvas");
    this.view = new MaskView(this.canvas);
    this.changed = changed;
    this.ring = byId("brush-ring");
    this.#listen();
    this.#chooseTool("toggle");
  }

  show(mask) {
    this.mask = mask;
    this.cursor = [mask.width / 2, mask.height / 2];
    this.view.show(mask);
    byId("mask-tools").disabled = false;
    this.#refresh();
  }

  clear() {
    this.mask = null;
    this.canvas.width = this.canvas.height = 0;
    byId("mask-tools").disabled = true;
    this.ring.hidden = true;
  }

  get radius() {
    const share = (byId("brush-size").value / 100) ** 2 * LARGEST_BRUSH;
    return Math.max(1, share * this.#longest);
  }

  get #longest() {
    return Math.max(this.mask.width, this.mask.height);
  }

  #listen() {
    for (const radio of document.querySelectorAll("input[name=tool]")) {
      radio.addEventListener("change", () => this.#chooseTool(radio.value));
    }
    byId("undo").addEventListener("click", () => this.#undoOrRedo("undo"));
    byId("redo").addEventListener("click", () => this.#undoOrRedo("redo"));
    this.canvas.addEventListener("pointerdown", (event) => this.#press(event));
    this.canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) this.canvas.addEventListener(name, () => this.#release());
    this.canvas.addEventListener("pointerleave", () => this.#hideRing());
    this.canvas.addEventListener("blur", () => this.#hideRing());
    this.canvas.addEventListener("keydown", (event) => this.#pressKey(event));
  }

  #chooseTool(tool) {
    this.tool = tool;
    byId("mask-help").textContent = `${text(`mask.help.${tool}`)} ${text("mask.keys")}`;
    this.canvas.dataset.tool = tool;
  }

  #press(event) {
    if (!this.mask || event.button !== 0) return;
    const point = this.#point(event);
    if (this.tool === "toggle") {
      this.#apply(point);
      return;
    }
    this.canvas.setPointerCapture(event.pointerId);
    this.mask.begin();
    this.stroke = point;
    this.#paint(point);
  }

  #move(event) {
    if (!this.mask) return;
    this.cursor = this.#point(event);
    this.#showRing();
    if (this.stroke) this.#paint(this.cursor);
  }

  #release() {
    if (!this.stroke) return;
    this.stroke = null;
    if (this.mask.end()) this.#refresh();
  }

  #pressKey(event) {
    if (!this.mask) return;
    const command = event.ctrlKey || event.metaKey;
    if (command && event.key.toLowerCase() === "z") this.#undoOrRedo(event.shiftKey ? "redo" : "undo");
    else if (command && event.key.toLowerCase() === "y") this.#undoOrRedo("redo");
    else if (KEY_MOVES[event.key]) this.#step(KEY_MOVES[event.key], event.shiftKey ? 5 : 1);
    else if (event.key === " " || event.key === "Enter") this.#apply(this.cursor);
    else return;
    event.preventDefault();
  }

  #step([dx, dy], times) {
    const step = KEY_STEP * times * this.#longest;
    this.cursor = [
      Math.min(this.mask.width - 1, Math.max(0, this.cursor[0] + dx * step)),
      Math.min(this.mask.height - 1, Math.max(0, this.cursor[1] + dy * step)),
    ];
    this.#showRing();
  }

  /** Apply the tool once at a point, as one undo step. */
  #apply(point) {
    this.mask.begin();
    if (this.tool === "toggle") {
      const outcome = this.mask.toggle(point);
      announce(text(`mask.outcome.${outcome ?? "nothing"}`));
    } else {
      this.mask.paint(point, point, this.radius, this.tool === "add" ? 1 : 0);
    }
    if (!this.mask.end()) return;
    this.view.draw();
    this.#refresh();
  }

  #paint(point) {
    this.view.draw(this.mask.paint(this.stroke, point, this.radius, this.tool === "add" ? 1 : 0));
    this.stroke = point;
  }

  #undoOrRedo(direction) {
    if (!this.mask[direction === "undo" ? "done" : "undone"].length) return;
    this.mask[direction]();
    this.view.draw();
    this.#refresh();
  }

  #refresh() {
    byId("undo").disabled = !this.mask.done.length;
    byId("redo").disabled = !this.mask.undone.length;
    this.changed();
  }

  #point(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * this.mask.width;
    const y = ((event.clientY - box.top) / box.height) * this.mask.height;
    return [Math.min(this.mask.width - 1, Math.max(0, x)), Math.min(this.mask.height - 1, Math.max(0, y))];
  }

  /** Draw the ring at the cursor: the brush's size, or the point that Space acts on. */
  #showRing() {
    const scale = this.canvas.clientWidth / this.mask.width;
    const size = this.tool === "toggle" ? 12 : 2 * this.radius * scale;
    Object.assign(this.ring.style, {
      width: `${size}px`,
      height: `${size}px`,
      left: `${this.cursor[0] * scale}px`,
      top: `${this.cursor[1] * scale}px`,
    });
    this.ring.hidden = false;
  }

  #hideRing() {
    if (!this.stroke) this.ring.hidden = true;
  }
}
