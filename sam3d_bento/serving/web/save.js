// Save a file that was made in the page, as a download.

import { make } from "./dom.js";

const READ_MILLISECONDS = 60_000; // milliseconds that the browser has to read the file

export function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), READ_MILLISECONDS);
}
