// Keep the files of a batch in this browser over a reload, until they are sent and their models made.

import { FileStore } from "./file_store.js";

const LONGEST = 86_400_000; // milliseconds; what a closed tab has left is dropped after a day

const store = new FileStore("sam3d-batch", "files");

export const keepFile = (id, file) => store.put(id, { file, at: Date.now() });

export const dropFile = (id) => store.delete(id);

/** Return the file that was kept with this id, or null. */
export const findFile = async (id) => (await store.get(id))?.file ?? null;

/** Drop the files that were kept too long ago. */
export const dropOldFiles = () => store.deleteOlder(LONGEST);
