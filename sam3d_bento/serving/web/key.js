// The key of the API, where the service wants one: asked for when it is first refused, kept until the tab is closed.

import { byId } from "./dom.js";

const KEPT = "sam3d-key";

let asking = null; // the promise of all that wait for a key

/** What to send with a request. Not for results, which need no key: their links may lead to another host. */
export function keyHeaders() {
  const key = sessionStorage.getItem(KEPT);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** Resolves when the person has entered a key. refused: what was sent with the request that was refused. */
export function askForKey(refused) {
  const kept = sessionStorage.getItem(KEPT);
  if (kept && !refused.Authorization?.endsWith(kept)) return Promise.resolve(); // entered meanwhile
  byId("key-refused").hidden = !refused.Authorization;
  asking ??= new Promise((entered) => {
    const form = byId("key-form");
    form.hidden = false;
    form.addEventListener(
      "submit",
      (event) => {
        event.preventDefault();
        sessionStorage.setItem(KEPT, byId("key").value.trim());
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
