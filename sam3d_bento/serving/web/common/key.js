// The API key, for services that need one. The form appears after a 401. The key is kept until the tab is closed.

import { byId } from "./dom.js";

const STORAGE_KEY = "sam3d-key";

let asking = null; // promise shared by all requests that wait for the key

/** Return the headers that carry the key. Do not use them for results: those need no key and may redirect elsewhere. */
export function keyHeaders() {
  const key = sessionStorage.getItem(STORAGE_KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** Resolve when the user has entered a key. refused: the key headers of the refused request. */
export function askForKey(refused) {
  const kept = sessionStorage.getItem(STORAGE_KEY);
  if (kept && !refused.Authorization?.endsWith(kept)) return Promise.resolve(); // the user entered another key in the meantime
  byId("key-refused").hidden = !refused.Authorization;
  asking ??= new Promise((entered) => {
    const form = byId("key-form");
    form.hidden = false;
    form.addEventListener(
      "submit",
      (event) => {
        event.preventDefault();
        sessionStorage.setItem(STORAGE_KEY, byId("key").value.trim());
        form.reset();
        form.hidden = true;
        asking = null;
        entered();
      },
      { once: true },
    );
  });
  return asking;
}
