// Keep files in this browser (IndexedDB) over a reload. Where storage is switched off or full, nothing is kept.

const DATABASE = "sam3d-batch";
const STORE = "files";
const LONGEST = 86_400_000; // milliseconds; what a closed tab has left is dropped after a day

export const keepFile = (id, file) => transact("readwrite", (store) => store.put({ file, at: Date.now() }, id));

export const dropFile = (id) => transact("readwrite", (store) => store.delete(id));

/** Return the file that was kept with this id, or null. */
export const findFile = async (id) => (await transact("readonly", (store) => store.get(id)))?.file ?? null;

/** Drop the files that were kept too long ago. */
export async function dropOldFiles() {
  const [ids, files] = await Promise.all([
    transact("readonly", (store) => store.getAllKeys()),
    transact("readonly", (store) => store.getAll()),
  ]);
  for (const [index, { at }] of (files ?? []).entries()) if (Date.now() - at > LONGEST) await dropFile(ids[index]);
}

let database = null; // promise of the open database

function open() {
  database ??= new Promise((resolve, reject) => {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
  return database;
}

/** Return the result of a request to the store; null where there is no storage. */
async function transact(mode, request) {
  try {
    const store = (await open()).transaction(STORE, mode).objectStore(STORE);
    return await new Promise((resolve, reject) => {
      const asked = request(store);
      asked.onsuccess = () => resolve(asked.result);
      asked.onerror = () => reject(asked.error);
    });
  } catch {
    return null;
  }
}
