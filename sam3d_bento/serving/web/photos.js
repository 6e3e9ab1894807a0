// The photos of results, which the service does not keep. Only the browser of whoever sent one has it, in a database, for
// as long as the result. Where the browser keeps no database, all works without photos.

const DATABASE = "sam3d-photos";
const STORE = "photos";
const LONGEST_SIDE = 1600; // pixels; enough to compare it with the model
const QUALITY = 0.85; // of the WebP

/** Keep a photo under the id of its job or result. A photo that the browser cannot read is not kept. */
export async function keepPhoto(id, file) {
  await quietly(async () => {
    const photo = await smaller(file);
    await inStore("readwrite", (store) => store.put(photo, id));
  });
}

/** Return the photo (Blob) with this id; null if there is none. */
export const photoOf = async (id) => (await quietly(() => inStore("readonly", (store) => store.get(id)))) ?? null;

/** Give a photo another id: that of the result that its job made. */
export async function movePhoto(from, to) {
  const photo = await photoOf(from);
  if (!photo) return;
  await quietly(() => inStore("readwrite", (store) => {
    store.delete(from);
    return store.put(photo, to);
  }));
}

export const forgetPhoto = (id) => quietly(() => inStore("readwrite", (store) => store.delete(id)));

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

async function inStore(mode, act) {
  const database = await settled(Object.assign(indexedDB.open(DATABASE, 1), {
    onupgradeneeded: ({ target }) => target.result.createObjectStore(STORE),
  }));
  try {
    return await settled(act(database.transaction(STORE, mode).objectStore(STORE)));
  } finally {
    database.close();
  }
}

const settled = (request) => new Promise((resolve, reject) => {
  request.addEventListener("success", () => resolve(request.result));
  request.addEventListener("error", () => reject(request.error));
});

async function quietly(act) {
  try {
    return await act();
  } catch {
    return undefined; // no database, no room, or no picture
  }
}
