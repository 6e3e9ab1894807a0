// Draw the mask over the photo: a veil over the background, and an outline around the object.

const LONGEST = 1600; // longer side of the canvas in pixels; a larger photo is drawn smaller, but edited at full size
// Colours in the canvas's memory layout, alpha first.
const VEIL = 0xb8_78_6c_60; // background
const OTHER = 0xa0_10_70_a8; // an object that was found but not selected
const EDGE = 0xff_d0_ff_40; // outline of the object
const CLEAR = 0;
const OUTLINE = 1 / 220; // width of the outline, as a share of the longer side

export class MaskView {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
  }

  show(mask) {
    this.mask = mask;
    this.scale = Math.min(1, LONGEST / Math.max(mask.width, mask.height));
    this.canvas.width = Math.round(mask.width * this.scale);
    this.canvas.height = Math.round(mask.height * this.scale);
    this.outline = Math.max(2, Math.round(OUTLINE * Math.max(this.canvas.width, this.canvas.height)));
    this.draw();
  }

  /** Redraw the whole mask, or the surroundings of a box in the mask's pixels. */
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
    const { pixels, found } = this.mask;
    if (!this.#at(pixels, x, y)) return this.#at(found, x, y) ? OTHER : VEIL;
    const inside =
      this.#at(pixels, x - this.outline, y) && this.#at(pixels, x + this.outline, y) &&
      this.#at(pixels, x, y - this.outline) && this.#at(pixels, x, y + this.outline);
    return inside ? CLEAR : EDGE;
  }

  #at(values, x, y) {
    const { width, height } = this.mask;
    const column = Math.min(width - 1, Math.max(0, Math.floor((x + 0.5) / this.scale)));
    const row = Math.min(height - 1, Math.max(0, Math.floor((y + 0.5) / this.scale)));
    return values[row * width + column];
  }
}
