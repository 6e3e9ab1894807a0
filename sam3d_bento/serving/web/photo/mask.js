// A mask of the upright photo, and what can be done with it.

const LONGEST = 2048; // pixels of the longer side; the mask of a larger photo is edited at this size and enlarged again
const OBJECT = 128; // of 255: the service's threshold between background and object
const OTHER_OBJECT = 32; // of 255: from this value on, an object that the service found but did not select

export class Mask {
  /**
   * pixels: 1 on the object. found: 1 on each object that the service found by itself; it is shared and not changed.
   * photoSize: width and height of the upright photo.
   */
  constructor(width, height, photoSize, pixels, found) {
    Object.assign(this, { width, height, photoSize, pixels, found });
  }

  /** Return the mask with these properties, as the browser's database gives them back. */
  static from({ width, height, photoSize, pixels, found }) {
    return new Mask(width, height, photoSize, pixels, found);
  }

  /** Return a mask without an object, for a photo in which nothing was found. */
  static empty(photoSize) {
    const { width, height } = editedSize(photoSize);
    return new Mask(width, height, photoSize, new Uint8Array(width * height), new Uint8Array(width * height));
  }

  /** Read a mask from a picture of the kind that /api/mask returns, which is as large as the photo. */
  static async fromPicture(blob) {
    const bitmap = await createImageBitmap(blob);
    const photoSize = { width: bitmap.width, height: bitmap.height };
    const { width, height } = editedSize(photoSize);
    const grey = greyOf(bitmap, width, height, false); // not smoothed: between white and black is no other object
    return new Mask(width, height, photoSize, grey.map((value) => Number(value >= OBJECT)), grey.map((value) => Number(value >= OTHER_OBJECT)));
  }

  /** Return a mask without an object, of the same photo. */
  emptied() {
    return new Mask(this.width, this.height, this.photoSize, new Uint8Array(this.pixels.length), this.found);
  }

  /** Return the pixels of a picture of a mask, which may have another size. */
  async pixelsOf(blob) {
    const grey = greyOf(await createImageBitmap(blob), this.width, this.height, true);
    return grey.map((value) => Number(value >= OBJECT));
  }

  /** Return the mask as a PNG of a size; absent: the photo's. */
  async toPng({ width, height } = this.photoSize) {
    const image = new ImageData(this.width, this.height);
    const colours = new Uint32Array(image.data.buffer);
    for (let i = 0; i < colours.length; i += 1) colours[i] = this.pixels[i] ? 0xff_ff_ff_ff : 0xff_00_00_00;
    const own = new OffscreenCanvas(this.width, this.height);
    own.getContext("2d").putImageData(image, 0, 0);
    if (width === this.width && height === this.height) return own.convertToBlob({ type: "image/png" });
    const enlarged = new OffscreenCanvas(width, height);
    enlarged.getContext("2d").drawImage(own, 0, 0, width, height); // smoothed, so that the outline has no steps
    return enlarged.convertToBlob({ type: "image/png" });
  }

  /** Share of the photo that is the object, 0..1. */
  get coverage() {
    let sum = 0;
    for (const pixel of this.pixels) sum += pixel;
    return sum / this.pixels.length;
  }

  get isEmpty() {
    return !this.pixels.includes(1);
  }

  /** Sides of the object: left, top, right, bottom, as of a prompt's box. null if there is no object. */
  get box() {
    let [left, top, right, bottom] = [this.width, this.height, -1, -1];
    for (let y = 0; y < this.height; y += 1) {
      for (let x = 0; x < this.width; x += 1) {
        if (!this.pixels[y * this.width + x]) continue;
        left = Math.min(left, x);
        right = Math.max(right, x);
        top = Math.min(top, y);
        bottom = y;
      }
    }
    return right < 0 ? null : [left, top, right + 1, bottom + 1];
  }

  has([x, y]) {
    return this.pixels[this.#index(x, y)] === 1;
  }

  /** Draw a stroke of a round brush from one point to another; return its box. Call between `begin` and `end`. */
  paint([x0, y0], [x1, y1], radius, value) {
    const { width, height, pixels } = this;
    const [left, right] = [Math.max(0, Math.floor(Math.min(x0, x1) - radius)), Math.min(width - 1, Math.ceil(Math.max(x0, x1) + radius))];
    const [top, bottom] = [Math.max(0, Math.floor(Math.min(y0, y1) - radius)), Math.min(height - 1, Math.ceil(Math.max(y0, y1) + radius))];
    const [dx, dy] = [x1 - x0, y1 - y0];
    const length2 = dx * dx + dy * dy || 1;
    for (let y = top; y <= bottom; y += 1) {
      for (let x = left; x <= right; x += 1) {
        const along = Math.min(1, Math.max(0, ((x + 0.5 - x0) * dx + (y + 0.5 - y0) * dy) / length2));
        if ((x + 0.5 - x0 - along * dx) ** 2 + (y + 0.5 - y0 - along * dy) ** 2 <= radius * radius) pixels[y * width + x] = value;
      }
    }
    return { left, top, right, bottom };
  }

  /** Add what is known to belong together at a point: an object that was found, or a hole. Return whether there is such. */
  addPart([x, y]) {
    const start = this.#index(x, y);
    if (this.pixels[start]) return false;
    const part = this.found[start] ? connected(this.found, this.width, this.height, start, 1) : connected(this.pixels, this.width, this.height, start, 0);
    if (part) this.#set(part, 1);
    return part !== null;
  }

  /** Remove the part at a point if it hangs together with nothing else of the object. Return whether it does not. */
  removePart([x, y]) {
    const part = connected(this.pixels, this.width, this.height, this.#index(x, y), 1);
    let rest = -part.length;
    for (const pixel of this.pixels) rest += pixel;
    if (rest > 0) this.#set(part, 0);
    return rest > 0;
  }

  #index(x, y) {
    return Math.min(this.height - 1, Math.floor(y)) * this.width + Math.min(this.width - 1, Math.floor(x));
  }

  #set(indices, value) {
    for (const index of indices) this.pixels[index] = value;
  }

  /** Start a change. */
  begin() {
    this.before = this.pixels.slice();
  }

  /** Take back what was changed since `begin`. */
  revert() {
    this.pixels.set(this.before);
    this.before = null;
  }

  /** End the change; return the indices of the pixels that differ, for `flip`. */
  end() {
    const changed = [];
    for (let i = 0; i < this.pixels.length; i += 1) if (this.pixels[i] !== this.before[i]) changed.push(i);
    this.before = null;
    return Uint32Array.from(changed);
  }

  flip(indices) {
    for (const index of indices) this.pixels[index] ^= 1;
  }
}

function editedSize({ width, height }) {
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/** Return the grey values 0..255 of a grey picture at a size, and close the picture. */
function greyOf(bitmap, width, height, smoothed) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = smoothed;
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const grey = new Uint8Array(width * height);
  for (let i = 0; i < grey.length; i += 1) grey[i] = data[4 * i];
  return grey;
}

/**
 * Return the indices of the pixels of `value` that are connected with `start`. Parts are 8-connected, holes 4-connected.
 * Return null for background that reaches the border of the photo, because that is not a hole.
 */
function connected(pixels, width, height, start, value) {
  const seen = new Uint8Array(pixels.length);
  const found = [start];
  seen[start] = 1;
  for (let next = 0; next < found.length; next += 1) {
    const x = found[next] % width;
    const y = (found[next] - x) / width;
    if (value === 0 && (x === 0 || y === 0 || x === width - 1 || y === height - 1)) return null;
    for (let dy = -1; dy <= 1; dy += 1) {
      for (let dx = -1; dx <= 1; dx += 1) {
        if (value === 0 && dx !== 0 && dy !== 0) continue;
        if (x + dx < 0 || x + dx >= width || y + dy < 0 || y + dy >= height) continue;
        const index = (y + dy) * width + x + dx;
        if (!seen[index] && pixels[index] === value) {
          seen[index] = 1;
          found.push(index);
        }
      }
    }
  }
  return found;
}
