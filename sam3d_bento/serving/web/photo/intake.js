// Accept photos that are dropped, pasted, picked or taken with a camera; a folder stands for the photos in it.

import { byId } from "../common/dom.js";

const HEIC = [".heic", ".heif"];
// Photos whose type browsers do not know everywhere.
const OTHER_SUFFIXES = [...HEIC, ".avif", ".tif", ".tiff"];

/** Call `take(files)` for the files that come in together. They may be anything; what lies in folders is photos only. */
export function listenForPhotos(take) {
  for (const picker of [byId("photo-file"), byId("camera-file")]) {
    picker.addEventListener("change", () => {
      if (picker.files.length) take([...picker.files]);
      picker.value = ""; // so that the same file can be chosen again
    });
  }
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take([...event.clipboardData.files]);
  });
  listenForDrops(take);
}

/** Return whether a file is a photo, as far as its name and type say. */
export function isPhoto({ name, type }) {
  return type.startsWith("image/") || OTHER_SUFFIXES.some((suffix) => name.toLowerCase().endsWith(suffix));
}

/** Ask for HEIC files only where the service reads them: an iPhone that is not asked sends a JPEG instead. */
export function acceptHeic(isRead) {
  const picker = byId("photo-file");
  const others = picker.accept.split(",").filter((kind) => !HEIC.includes(kind));
  picker.accept = (isRead ? [...others, ...HEIC] : others).join(",");
}

/** Accept drops on the whole page. Otherwise the browser would open a file that misses the frame. */
function listenForDrops(take) {
  const frame = byId("intake");
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    frame.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) frame.classList.remove("over"); // left the window, not just an element
  });
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    frame.classList.remove("over");
    const files = await droppedFiles(event.dataTransfer);
    if (files.length) take(files);
  });
}

/** Return the files that were dropped, and the photos in the folders that were. */
async function droppedFiles({ items, files }) {
  // Entries can only be asked for before the first wait.
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...files];
  const found = await Promise.all(entries.map((entry) => (entry.isDirectory ? photosIn(entry) : [fileOf(entry)])));
  return Promise.all(found.flat());
}

async function photosIn(folder) {
  const found = await Promise.all((await entriesOf(folder)).map(async (entry) => (entry.isDirectory ? photosIn(entry) : [await fileOf(entry)])));
  return found.flat().filter((file) => isPhoto(file) && !file.name.startsWith("."));
}

const fileOf = (entry) => new Promise((resolve, reject) => entry.file(resolve, reject));

/** Return the entries of a folder by name. The browser gives them in parts; an empty one is the last. */
async function entriesOf(folder) {
  const reader = folder.createReader();
  const entries = [];
  for (;;) {
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!part.length) return entries.sort((one, other) => one.name.localeCompare(other.name, undefined, { numeric: true }));
    entries.push(...part);
  }
}
