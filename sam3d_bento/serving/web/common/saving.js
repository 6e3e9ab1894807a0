// Save a file that the page has made or received.

import { make } from "./dom.js";

const READ_MILLISECONDS = 60_000; // milliseconds that the browser has to read the file

/** Save a Blob under a name. */
export function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), READ_MILLISECONDS);
}
