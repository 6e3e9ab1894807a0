// Pointer and keys on the photo: they choose, add and remove objects, or paint; and the tools below the photo.

import { announce, byId, make } from "../common/dom.js";
import { MaskView } from "./mask_view.js";
import { PhotoZoom } from "./zoom.js";
import { text } from "../common/texts.js";

const LARGEST_BRUSH = 0.15; // radius, as a share of the photo's longer side
const KEY_STEP = 0.02; // step of an arrow key, as a share of what is in view
const KEY_MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEY_ZOOM = 1.25; // factor of a key or a button
const BRUSH_STEP = 8; // of 100: what [ and ] change
const DRAG_PIXELS = { mouse: 5, pen: 8, touch: 12 }; // a shorter way is a click
const CURSOR_PIXELS = 24; // of the ring that the arrow keys move

export class MaskEditor {
  /**
   * act: what the user asks for.
   *   point(kind, {point} | {box}): kind: choose, add, remove. Coordinates are the mask's pixels.
   *   painted(mask): a stroke of the brush has ended; `mask.end()` says what changed.
   *   candidate(number): the mask with this number, from 0, is meant.
   *   undo(), redo()
   *   stop(): nothing is looked for any more.
   */
  constructor(scene, act) {
    Object.assign(this, { scene, act });
    this.canvas = byId("mask-canvas");
    this.ring = byId("brush-ring");
    this.marks = byId("marks");
    this.view = new MaskView(this.canvas);
    this.zoom = new PhotoZoom(byId("photo-frame"), byId("easel"), {
      interrupted: () => this.#interrupt(),
      changed: (scale) => this.#showZoom(scale),
    });
    this.#listen();
    this.#chooseTool("choose");
  }

  get #mask() {
    return this.scene.active?.mask ?? null;
  }

  /** Show the objects' masks, and what the active one was chosen by. */
  show() {
    this.view.show(this.scene.objects, this.scene.active);
    byId("mask-tools").disabled = false;
    this.cursor ??= [this.#mask.width / 2, this.#mask.height / 2];
    this.showPrompt(this.scene.active.choice?.prompt ?? null);
  }

  clear() {
    this.#interrupt();
    this.cursor = null;
    this.view.clear();
    this.zoom.reset();
    this.marks.replaceChildren();
    byId("mask-tools").disabled = true;
    this.ring.hidden = true;
    this.#chooseTool("choose");
  }

  /** Mark the points and the box that a mask was chosen by. prompt: {points, box}; null: none. */
  showPrompt(prompt) {
    const points = (prompt?.points ?? []).map(([x, y, inside]) => this.#mark(inside ? "inside" : "outside", x, y));
    this.marks.replaceChildren(...points, ...(prompt?.box ? [this.#boxMark(prompt.box)] : []), ...(this.gesture?.mark ? [this.gesture.mark] : []));
  }

  /** Mark what is being asked about; return the mark. */
  showPending({ point, box }) {
    const mark = box ? this.#boxMark(box) : this.#mark("inside", ...point);
    mark.classList.add("pending");
    this.marks.append(mark);
    return mark;
  }

  #mark(kind, x, y) {
    const mark = make("span", { className: `mark ${kind}` });
    Object.assign(mark.style, { left: this.#share(x, "width"), top: this.#share(y, "height") });
    return mark;
  }

  #boxMark([left, top, right, bottom]) {
    const mark = make("span", { className: "box-mark" });
    Object.assign(mark.style, {
      left: this.#share(left, "width"),
      top: this.#share(top, "height"),
      width: this.#share(right - left, "width"),
      height: this.#share(bottom - top, "height"),
    });
    return mark;
  }

  #share(pixels, side) {
    return `${(100 * pixels) / this.#mask[side]}%`;
  }

  get #radius() {
    const share = (byId("brush-size").value / 100) ** 2 * LARGEST_BRUSH;
    return Math.max(1, share * Math.max(this.#mask.width, this.#mask.height));
  }

  #listen() {
    for (const radio of document.querySelectorAll("input[name=tool]")) {
      radio.addEventListener("change", () => this.#chooseTool(radio.value));
    }
    byId("brush-size").addEventListener("input", () => this.#showBrushSize());
    byId("undo").addEventListener("click", () => this.act.undo());
    byId("redo").addEventListener("click", () => this.act.redo());
    byId("photo-zoom-in").addEventListener("click", () => this.zoom.zoom(KEY_ZOOM ** 2));
    byId("photo-zoom-out").addEventListener("click", () => this.zoom.zoom(KEY_ZOOM ** -2));
    byId("photo-zoom-reset").addEventListener("click", () => this.zoom.reset());
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#release(event));
    canvas.addEventListener("pointercancel", () => this.#interrupt());
    canvas.addEventListener("pointerleave", () => this.#hideRing());
    canvas.addEventListener("blur", () => {
      this.#cancelBox();
      this.#hideRing();
    });
    canvas.addEventListener("keydown", (event) => this.#pressKey(event));
  }

  #chooseTool(tool) {
    this.tool = tool;
    document.querySelector(`input[name=tool][value=${tool}]`).checked = true;
    byId("brush-tools").hidden = tool !== "brush";
    this.#showHelp();
    this.canvas.dataset.tool = tool;
    this.ring.hidden = true;
    this.#showBrushSize();
  }

  /** What a click does: Shift adds and Alt removes, whatever the tool. */
  #kind({ shiftKey, altKey }) {
    if (this.tool === "brush") return altKey !== byId("erase").checked ? "erase" : "paint";
    if (altKey) return "remove";
    return shiftKey ? "add" : this.tool;
  }

  // --- pointer ---------------------------------------------------------------------------------------------------------

  #press(event) {
    if (!this.#mask || event.button !== 0) return;
    this.#cancelBox();
    this.canvas.setPointerCapture(event.pointerId);
    const kind = this.#kind(event);
    this.cursor = this.#point(event);
    this.gesture = { kind, from: this.cursor, place: [event.clientX, event.clientY], slack: DRAG_PIXELS[event.pointerType] ?? DRAG_PIXELS.mouse };
    if (this.tool !== "brush") return;
    this.act.stop(); // an answer must not change what is being painted
    this.gesture.mask = this.#mask;
    this.#mask.begin();
    this.#paint(this.cursor);
  }

  #move(event) {
    if (!this.#mask || this.gesture?.isKeyed) return;
    this.cursor = this.#point(event);
    if (this.gesture?.mask) this.#paint(this.cursor);
    else if (this.gesture) this.#drag(event);
    if (this.tool === "brush") this.#showRing();
  }

  #release(event) {
    const { gesture } = this;
    if (!gesture || gesture.isKeyed) return;
    this.gesture = null;
    this.#hideBox(gesture);
    if (gesture.mask) this.act.painted(gesture.mask);
    else this.act.point(gesture.kind, gesture.box ? { box: gesture.box } : { point: this.#point(event) });
  }

  /** Forget what a finger, a button or a key has begun. */
  #interrupt() {
    const { gesture } = this;
    if (!gesture) return;
    this.gesture = null;
    this.#hideBox(gesture);
    this.#showHelp();
    if (!gesture.mask) return;
    gesture.mask.revert();
    this.view.draw();
  }

  #drag(event) {
    const { box, place: [x, y], slack } = this.gesture;
    if (box || Math.hypot(event.clientX - x, event.clientY - y) >= slack) this.#drawBox();
  }

  /** Draw the box from where the gesture began to the cursor. */
  #drawBox() {
    const { gesture } = this;
    const [[x0, y0], [x1, y1]] = [gesture.from, this.cursor];
    const box = [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];
    this.#hideBox(gesture);
    gesture.box = box[2] - box[0] >= 1 && box[3] - box[1] >= 1 ? box : null;
    if (!gesture.box) return;
    gesture.mark = this.#boxMark(box);
    this.marks.append(gesture.mark);
  }

  #hideBox(gesture) {
    gesture.mark?.remove();
  }

  #paint(point) {
    const { gesture } = this;
    const value = gesture.kind === "paint" ? 1 : 0;
    this.view.draw(gesture.mask.paint(gesture.from, point, this.#radius, value));
    gesture.from = point;
  }

  #point({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    const { width, height } = this.#mask;
    const x = ((clientX - box.left) / box.width) * width;
    const y = ((clientY - box.top) / box.height) * height;
    return [Math.min(width, Math.max(0, x)), Math.min(height, Math.max(0, y))];
  }

  // --- keys ------------------------------------------------------------------------------------------------------------

  #pressKey(event) {
    if (!this.#mask || (this.gesture && !this.gesture.isKeyed)) return;
    const command = event.ctrlKey || event.metaKey;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (command && key === "z") this.act[event.shiftKey ? "redo" : "undo"]();
    else if (command && key === "y") this.act.redo();
    else if (command) return;
    else if (KEY_MOVES[key]) this.#step(KEY_MOVES[key], event.shiftKey ? 5 : 1);
    else if (key === "b" && !this.gesture && this.tool !== "brush") this.#beginBox();
    else if (this.gesture && (key === "b" || key === "Enter")) this.#endBox(event);
    else if (key === "Enter") this.#apply(event);
    else if (key === "+" || key === "=") this.#zoomKey(KEY_ZOOM);
    else if (key === "-") this.#zoomKey(1 / KEY_ZOOM);
    else if (key === "0") this.zoom.reset();
    else if (["1", "2", "3"].includes(key)) this.act.candidate(Number(key) - 1);
    else if (key === "[" || key === "]") this.#changeBrush(key === "[" ? -BRUSH_STEP : BRUSH_STEP);
    else if (key === "Escape" && this.gesture) this.#cancelBox();
    else if (key === "Escape") this.act.stop();
    else return;
    event.preventDefault();
  }

  #step([dx, dy], times) {
    const { width, height } = this.#mask;
    const step = (KEY_STEP * times * Math.max(width, height)) / this.zoom.scale;
    this.cursor = [Math.min(width - 1, Math.max(0, this.cursor[0] + dx * step)), Math.min(height - 1, Math.max(0, this.cursor[1] + dy * step))];
    if (this.gesture) {
      this.#drawBox();
      announce(this.#boxPixels);
    }
    this.#revealCursor();
  }

  /** Begin a box at the cursor, which the arrow keys stretch. */
  #beginBox() {
    this.gesture = { from: this.cursor, isKeyed: true };
    this.#showHelp();
    announce(text("mask.help.box"));
    this.#showRing();
  }

  /** Ask about the box that was begun with a key. A box without an area is none. */
  #endBox(event) {
    const { box } = this.gesture;
    if (!box) {
      this.#cancelBox();
      return;
    }
    this.#interrupt();
    this.#showRing();
    this.act.point(this.#kind(event), { box });
  }

  #cancelBox() {
    if (!this.gesture?.isKeyed) return;
    this.#interrupt();
    this.#showRing();
    announce(text("mask.box.cancelled"));
  }

  #zoomKey(factor) {
    this.zoom.zoom(factor);
    this.#revealCursor();
  }

  #revealCursor() {
    this.zoom.reveal([this.cursor[0] / this.#mask.width, this.cursor[1] / this.#mask.height]);
    this.#showRing();
  }

  /** Apply the tool at the cursor. */
  #apply(event) {
    const kind = this.#kind(event);
    const mask = this.#mask;
    if (this.tool !== "brush") {
      this.act.point(kind, { point: this.cursor });
      return;
    }
    this.act.stop();
    mask.begin();
    mask.paint(this.cursor, this.cursor, this.#radius, kind === "paint" ? 1 : 0);
    this.act.painted(mask);
  }

  #changeBrush(step) {
    const slider = byId("brush-size");
    slider.value = Number(slider.value) + step;
    this.#showBrushSize();
    if (this.tool === "brush") this.#showRing();
  }

  // --- what is shown ---------------------------------------------------------------------------------------------------

  #showHelp() {
    byId("mask-help").textContent = text(`mask.help.${this.gesture?.isKeyed ? "box" : this.tool}`);
  }

  #showZoom(scale) {
    byId("photo-zoom-reset").textContent = `${Math.round(scale * 100)}%`;
    if (!this.ring.hidden) this.#showRing();
  }

  #showBrushSize() {
    if (this.#mask) byId("brush-number").textContent = this.#brushPixels;
  }

  /** The brush's diameter in pixels of the photo. */
  get #brushPixels() {
    return text("mask.brush.pixels", { pixels: this.#photoPixels(2 * this.#radius) });
  }

  /** The size of the box that is drawn, in pixels of the photo. */
  get #boxPixels() {
    const [left, top, right, bottom] = this.gesture.box ?? [0, 0, 0, 0];
    return text("mask.box.pixels", { width: this.#photoPixels(right - left), height: this.#photoPixels(bottom - top) });
  }

  #photoPixels(length) {
    return Math.round((length * this.#mask.photoSize.width) / this.#mask.width);
  }

  /** Draw the ring at the cursor: the brush with its size, or the point that Enter acts on. */
  #showRing() {
    const scale = this.canvas.clientWidth / this.#mask.width;
    const isBrush = this.tool === "brush";
    const size = isBrush ? 2 * this.#radius * scale : CURSOR_PIXELS;
    Object.assign(this.ring.style, {
      width: `${size}px`,
      height: `${size}px`,
      left: `${this.cursor[0] * scale}px`,
      top: `${this.cursor[1] * scale}px`,
    });
    this.ring.dataset.size = isBrush ? this.#brushPixels : this.gesture?.isKeyed ? this.#boxPixels : "";
    this.ring.dataset.kind = isBrush ? "brush" : "cursor";
    this.ring.hidden = false;
  }

  #hideRing() {
    if (!this.gesture) this.ring.hidden = true;
  }
}
