// The draft of this tab: what is chosen and shown, kept while the page is loaded anew in another language.

import { FileStore, newId } from "./file_store.js";

const KEY = "sam3d-draft"; // storage key of the draft's id; it belongs to the tab
const LONGEST = 86_400_000; // milliseconds; what a closed tab has left is dropped after a day

const store = new FileStore("sam3d-draft", "drafts");

/** Keep a draft. It may hold whatever the browser can clone, such as files, arrays and plain objects. */
export async function keepDraft(draft) {
  const id = newId();
  sessionStorage.setItem(KEY, id);
  await store.put(id, { draft, at: Date.now() });
}

/** Return the draft, which is then no longer kept; null if there is none. */
export async function takeDraft() {
  store.deleteOlder(LONGEST);
  const id = sessionStorage.getItem(KEY);
  if (!id) return null;
  sessionStorage.removeItem(KEY);
  const kept = await store.get(id);
  store.delete(id);
  return kept?.draft ?? null;
}
