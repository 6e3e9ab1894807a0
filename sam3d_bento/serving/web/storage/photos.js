// The photos of results, which the service does not keep. Only the browser of whoever sent one has it, in a database, for
// as long as the result. Where the browser keeps no database, all works without photos.

import { FileStore } from "./file_store.js";

const LONGEST_SIDE = 1600; // pixels; enough to compare it with the model
const QUALITY = 0.85; // of the WebP
const DAY = 86_400_000; // milliseconds; no job runs as long

const store = new FileStore("sam3d-photos", "photos");

/** Keep a photo under the id of its job or result. A photo that the browser cannot read is not kept. */
export async function keepPhoto(id, file) {
  const photo = await smaller(file).catch(() => null);
  if (photo) await store.put(id, { photo, at: Date.now() });
}

/** Return the photo (Blob) with this id; null if there is none. */
export const photoOf = async (id) => (await store.get(id))?.photo ?? null;

/** Give a photo another id: that of the result that its job made. */
export async function movePhoto(from, to) {
  const entry = await store.get(from);
  if (!entry) return;
  await store.put(to, entry);
  await store.delete(from);
}

export const forgetPhoto = (id) => store.delete(id);

/** Forget the photos of all but these results. Those of the last day stay: their jobs may still run in another tab. */
export async function forgetOthers(ids) {
  const old = Date.now() - DAY;
  for (const [id, entry] of await store.entries()) if (!ids.includes(id) && entry?.at < old) await forgetPhoto(id);
}

/** Return a picture of the upright photo of at most LONGEST_SIDE, as a Blob. */
async function smaller(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(scale * bitmap.width));
  canvas.height = Math.max(1, Math.round(scale * bitmap.height));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((made) => canvas.toBlob(made, "image/webp", QUALITY));
}
