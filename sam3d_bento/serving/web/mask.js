// A mask at the size of the upright photo, with editing operations and undo.

const OBJECT = 128; // of 255: the service's threshold between background and object
const OTHER_OBJECT = 32; // of 255: from this value on, an object that the service found but did not select

export class Mask {
  /** pixels: 1 on the object. found: 1 on the object and on other objects, which a click can add. */
  constructor(width, height, pixels, found) {
    this.width = width;
    this.height = height;
    this.pixels = pixels;
    this.found = found;
    this.undone = [];
    this.done = [];
  }

  /** Read a mask from a picture of the kind that /api/mask returns. */
  static async fromPicture(blob) {
    const bitmap = await createImageBitmap(blob);
    const { width, height } = bitmap;
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    const { data } = context.getImageData(0, 0, width, height);
    const pixels = new Uint8Array(width * height);
    const found = new Uint8Array(width * height);
    for (let i = 0; i < pixels.length; i += 1) {
      pixels[i] = data[4 * i] >= OBJECT ? 1 : 0;
      found[i] = data[4 * i] >= OTHER_OBJECT ? 1 : 0;
    }
    return new Mask(width, height, pixels, found);
  }

  async toPng() {
    const { width, height, pixels } = this;
    const image = new ImageData(width, height);
    for (let i = 0; i < pixels.length; i += 1) image.data.fill(255 * pixels[i], 4 * i, 4 * i + 3);
    for (let i = 3; i < image.data.length; i += 4) image.data[i] = 255;
    const canvas = new OffscreenCanvas(width, height);
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas.convertToBlob({ type: "image/png" });
  }

  get coverage() {
    let sum = 0;
    for (const pixel of this.pixels) sum += pixel;
    return sum / this.pixels.length;
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

  /**
   * Remove the connected part at a point; where there is none, add the found part or fill the hole at that point.
   * Call between `begin` and `end`. Return "removed", "added" or "filled", or null for background.
   */
  toggle([x, y]) {
    const start = Math.floor(y) * this.width + Math.floor(x);
    if (this.pixels[start]) {
      this.#set(connected(this.pixels, this.width, this.height, start, 1), 0);
      return "removed";
    }
    if (this.found[start]) {
      this.#set(connected(this.found, this.width, this.height, start, 1), 1);
      return "added";
    }
    const hole = connected(this.pixels, this.width, this.height, start, 0);
    if (!hole) return null;
    this.#set(hole, 1);
    return "filled";
  }

  #set(indices, value) {
    for (const index of indices) this.pixels[index] = value;
  }

  /** Start a change, which a single undo reverts. */
  begin() {
    this.before = this.pixels.slice();
  }

  /** End the change; return whether any pixel differs. */
  end() {
    const changed = [];
    for (let i = 0; i < this.pixels.length; i += 1) if (this.pixels[i] !== this.before[i]) changed.push(i);
    this.before = null;
    if (!changed.length) return false;
    this.done.push(Uint32Array.from(changed));
    this.undone = [];
    return true;
  }

  undo() {
    this.#flip(this.done, this.undone);
  }

  redo() {
    this.#flip(this.undone, this.done);
  }

  #flip(from, to) {
    const changed = from.pop();
    for (const index of changed) this.pixels[index] ^= 1;
    to.push(changed);
  }
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
