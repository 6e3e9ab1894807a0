// Draw the masks over the photo: a veil over the background, an outline around the object that is edited, and the other
// objects of a scene in their colours.

const LONGEST = 1600; // longer side of the canvas in pixels; a larger mask is drawn smaller, but edited at its size
// Colours in the canvas's memory layout, alpha first.
const VEIL = 0xb8_78_6c_60; // background
const OTHER = 0xa0_10_70_a8; // an object that was found but not selected
const CLEAR = 0;
const EDGE_ALPHA = 0xff; // of the outline
const TINT_ALPHA = 0x90; // of the other objects: the photo shines through
const OUTLINE = 1 / 220; // width of the outline, as a share of the longer side

export class MaskView {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
  }

  /** objects: of the scene, each with `mask` and `colour` ([r, g, b] of 255). active: the one that is edited. */
  show(objects, active) {
    this.mask = active.mask;
    this.found = active.mask.found;
    this.veil = objects.some(({ mask }) => !mask.isEmpty) ? VEIL : CLEAR; // the photo is seen as it is until something is chosen
    this.edge = packed(active.colour, EDGE_ALPHA);
    this.others = objects
      .filter((object) => object !== active)
      .map(({ mask, colour }) => ({ pixels: mask.pixels, tint: packed(colour, TINT_ALPHA) }));
    const longest = Math.max(this.mask.width, this.mask.height);
    this.scale = Math.min(1, LONGEST / longest);
    const [width, height] = [this.mask.width, this.mask.height].map((side) => Math.round(side * this.scale));
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    this.outline = Math.max(2, Math.round(OUTLINE * longest * this.scale));
    this.draw();
  }

  clear() {
    this.canvas.width = this.canvas.height = 0;
  }

  /** Redraw all, or the surroundings of a box in the mask's pixels. */
  draw(box = { left: 0, top: 0, right: this.mask.width - 1, bottom: this.mask.height - 1 }) {
    const { width, height } = this.canvas;
    const around = this.outline + 1;
    const left = Math.max(0, Math.floor(box.left * this.scale) - around);
    const top = Math.max(0, Math.floor(box.top * this.scale) - around);
    const right = Math.min(width, Math.ceil(box.right * this.scale) + around);
    const bottom = Math.min(height, Math.ceil(box.bottom * this.scale) + around);
    if (right <= left || bottom <= top) return;
    const image = this.context.createImageData(right - left, bottom - top);
    const colours = new Uint32Array(image.data.buffer);
    let next = 0;
    for (let y = top; y < bottom; y += 1) {
      for (let x = left; x < right; x += 1) colours[next++] = this.#colour(x, y);
    }
    this.context.putImageData(image, left, top);
  }

  #colour(x, y) {
    const { pixels } = this.mask;
    if (!this.#at(pixels, x, y)) {
      for (const other of this.others) if (this.#at(other.pixels, x, y)) return other.tint;
      return this.#at(this.found, x, y) ? OTHER : this.veil;
    }
    const inside =
      this.#at(pixels, x - this.outline, y) && this.#at(pixels, x + this.outline, y) &&
      this.#at(pixels, x, y - this.outline) && this.#at(pixels, x, y + this.outline);
    return inside ? CLEAR : this.edge;
  }

  #at(values, x, y) {
    const { width, height } = this.mask;
    const column = Math.min(width - 1, Math.max(0, Math.floor((x + 0.5) / this.scale)));
    const row = Math.min(height - 1, Math.max(0, Math.floor((y + 0.5) / this.scale)));
    return values[row * width + column];
  }
}

/** Return a colour in the canvas's memory layout. */
function packed([red, green, blue], alpha) {
  return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
