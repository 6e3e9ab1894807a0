// The picture that is sent with each click on the photo: a smaller copy, so that the answer comes quickly.

const LONGEST = 1024; // pixels of the longer side; the models that answer look at no more
const QUALITY = 0.92; // of the copy, from 0 to 1: no artefact that a model could take for an edge

/** Return {blob, width, height}: the picture of a photo of this size, or the file where a copy cannot be made. */
export async function promptPicture(file, { width, height }) {
  const whole = { blob: file, width, height };
  const scale = LONGEST / Math.max(width, height);
  if (scale >= 1) return whole;
  try {
    const bitmap = await createImageBitmap(file);
    const small = { width: Math.round(width * scale), height: Math.round(height * scale) };
    const canvas = new OffscreenCanvas(small.width, small.height);
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, small.width, small.height);
    bitmap.close();
    // A JPEG has no alpha to lose.
    const blob = await canvas.convertToBlob({ type: file.type === "image/jpeg" ? "image/jpeg" : "image/webp", quality: QUALITY });
    return { blob, ...small };
  } catch {
    return whole; // a format that only the service can read
  }
}
