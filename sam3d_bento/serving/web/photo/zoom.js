// Zoom and pan of the photo in its frame: wheel, pinch, two fingers, middle button, or Space and drag.

const LARGEST = 8; // times the size at which the photo fits in the frame
const WHEEL = 0.0015; // zoom per pixel that a wheel turns, as an exponent of e; one notch of 100 px is 16 %
const LINE = 16; // pixels; some browsers count a wheel's turn in lines
const MARGIN = 16; // pixels between the frame's border and a point that is revealed
const KEEPS_SPACE = "button, input, select, textarea, summary, a"; // elements for which the Space key has a meaning

export class PhotoZoom {
  /**
   * frame: shows a part of the easel, which holds the photo and what lies over it. interrupted(): called when a second
   * finger turns what the first one began into a pinch. changed(scale): called after each change of the view.
   */
  constructor(frame, easel, { interrupted, changed }) {
    Object.assign(this, { frame, easel, interrupted, changed });
    this.fingers = new Map(); // places of the fingers on the frame, by pointer
    this.panning = null; // the pointer that drags the photo
    this.spaceHeld = false;
    this.hovered = false;
    this.reset();
    frame.addEventListener("wheel", (event) => this.#turn(event), { passive: false });
    // Captured: a pointer that pans must not also draw on the canvas in the frame.
    frame.addEventListener("pointerdown", (event) => this.#press(event), { capture: true });
    frame.addEventListener("pointermove", (event) => this.#move(event), { capture: true });
    for (const name of ["pointerup", "pointercancel"]) frame.addEventListener(name, (event) => this.#release(event), { capture: true });
    frame.addEventListener("pointerenter", () => (this.hovered = true));
    frame.addEventListener("pointerleave", () => (this.hovered = false));
    document.addEventListener("keydown", (event) => this.#holdSpace(event));
    document.addEventListener("keyup", (event) => event.key === " " && this.#setSpace(false));
    window.addEventListener("blur", () => this.#setSpace(false));
  }

  reset() {
    this.scale = 1;
    this.offset = [0, 0]; // pixels from the frame's centre to the easel's
    this.#apply();
  }

  /** Zoom by a factor. about: a point of the window that stays where it is; absent: the middle of the frame. */
  zoom(factor, about = this.#middle) {
    const scale = Math.min(LARGEST, Math.max(1, this.scale * factor));
    const middle = this.#middle;
    const ratio = scale / this.scale;
    this.offset = this.offset.map((offset, axis) => about[axis] - middle[axis] - ratio * (about[axis] - middle[axis] - offset));
    this.scale = scale;
    this.#apply();
  }

  pan(dx, dy) {
    this.offset = [this.offset[0] + dx, this.offset[1] + dy];
    this.#apply();
  }

  /** Pan so that a point of the easel, as shares of its width and height, is in view. */
  reveal([x, y]) {
    const { width, height } = this.easel.getBoundingClientRect();
    const limits = [this.frame.clientWidth / 2 - MARGIN, this.frame.clientHeight / 2 - MARGIN];
    const place = [(x - 0.5) * width + this.offset[0], (y - 0.5) * height + this.offset[1]];
    const beyond = place.map((value, axis) => value - Math.min(limits[axis], Math.max(-limits[axis], value)));
    this.pan(-beyond[0], -beyond[1]);
  }

  get #middle() {
    const { left, top, width, height } = this.frame.getBoundingClientRect();
    return [left + width / 2, top + height / 2];
  }

  #apply() {
    this.easel.style.setProperty("--zoom", this.scale);
    const room = [this.easel.offsetWidth - this.frame.clientWidth, this.easel.offsetHeight - this.frame.clientHeight];
    this.offset = this.offset.map((offset, axis) => {
      const most = Math.max(0, room[axis] / 2); // no further than to the photo's border
      return Math.min(most, Math.max(-most, offset));
    });
    this.easel.style.setProperty("--pan-x", `${this.offset[0]}px`);
    this.easel.style.setProperty("--pan-y", `${this.offset[1]}px`);
    this.frame.dataset.zoomed = String(this.scale > 1);
    this.changed(this.scale);
  }

  #turn(event) {
    const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE : 1);
    if (pixels > 0 && this.scale === 1 && !event.ctrlKey) return; // there is nothing to zoom out: the page scrolls
    event.preventDefault();
    this.zoom(Math.exp(-pixels * WHEEL * (event.ctrlKey ? 5 : 1)), [event.clientX, event.clientY]); // Ctrl: a trackpad's pinch
  }

  #press(event) {
    if (event.target.closest("button")) return;
    if (event.pointerType === "touch") {
      this.fingers.set(event.pointerId, [event.clientX, event.clientY]);
      if (this.fingers.size < 2) return;
      this.interrupted();
    } else if (event.button === 1 || (event.button === 0 && this.spaceHeld)) {
      this.panning = event.pointerId;
      this.last = [event.clientX, event.clientY];
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    this.frame.setPointerCapture(event.pointerId);
  }

  #move(event) {
    const place = [event.clientX, event.clientY];
    if (this.fingers.has(event.pointerId)) {
      const before = [...this.fingers.values()];
      this.fingers.set(event.pointerId, place);
      if (before.length >= 2) this.#pinch(before.slice(0, 2), [...this.fingers.values()].slice(0, 2));
      if (before.length >= 2) event.stopPropagation();
    } else if (this.panning === event.pointerId) {
      this.pan(place[0] - this.last[0], place[1] - this.last[1]);
      this.last = place;
      event.stopPropagation();
    }
  }

  #pinch(before, after) {
    const distance = ([[x0, y0], [x1, y1]]) => Math.max(1, Math.hypot(x1 - x0, y1 - y0));
    const centre = ([[x0, y0], [x1, y1]]) => [(x0 + x1) / 2, (y0 + y1) / 2];
    const [from, to] = [centre(before), centre(after)];
    this.pan(to[0] - from[0], to[1] - from[1]);
    this.zoom(distance(after) / distance(before), to);
  }

  #release(event) {
    if (this.fingers.delete(event.pointerId) && this.fingers.size > 0) event.stopPropagation();
    if (this.panning === event.pointerId) {
      this.panning = null;
      event.stopPropagation();
    }
  }

  #holdSpace(event) {
    if (event.key !== " " || !(this.hovered || this.frame.contains(document.activeElement))) return;
    if (document.activeElement.matches(KEEPS_SPACE)) return;
    event.preventDefault(); // the page would scroll
    this.#setSpace(true);
  }

  #setSpace(held) {
    this.spaceHeld = held;
    this.frame.dataset.panning = String(held);
  }
}
