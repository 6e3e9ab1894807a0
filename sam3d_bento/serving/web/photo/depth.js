// The photo's depth, from a depth camera: a file that is picked or dropped, and the camera as four numbers.

import { byId } from "../common/dom.js";
import { megabytes } from "../common/format.js";
import { text } from "../common/texts.js";

const ARRAYS = [".npy", ".npz"]; // no photo has these suffixes

export class Depth {
  /** catalogue(): return the response of /api/options, or null before it has arrived. */
  constructor(catalogue) {
    this.catalogue = catalogue;
    this.file = null;
    this.picker = byId("depth-file");
    this.picker.addEventListener("change", () => {
      if (this.picker.files.length) this.take(this.picker.files[0]);
      this.picker.value = ""; // so that the same file can be chosen again
    });
    byId("depth-remove").addEventListener("click", () => {
      this.#keep(null);
      this.picker.focus();
    });
    this.#listenForDrops(byId("depth-drop"));
  }

  /** Return whether a file that was dropped anywhere can be nothing but depth. */
  isDepth(file) {
    return ARRAYS.some((suffix) => file.name?.toLowerCase().endsWith(suffix));
  }

  take(file) {
    byId("advanced").open = true;
    const limit = this.catalogue()?.limits.max_upload_bytes;
    if (file.size > limit) {
      this.#keep(null);
      this.#say(text("depth.too_large", { name: file.name, size: megabytes(file.size), limit: megabytes(limit) }));
    } else {
      this.#keep(file);
    }
  }

  /** Forget the depth and the camera: they belong to one photo. */
  clear() {
    this.#keep(null);
    byId("intrinsics").value = "";
  }

  /** Return the depth and the camera, for `restore`. */
  kept() {
    return { file: this.file, camera: byId("intrinsics").value };
  }

  restore({ file, camera }) {
    this.#keep(file);
    byId("intrinsics").value = camera;
  }

  /** Return the fields of a run: with depth, the model gets its true size. */
  chosen() {
    const camera = byId("intrinsics").value.trim();
    return { ...(this.file && { depth: this.file, scale: "metric" }), ...(camera && { intrinsics: camera }) };
  }

  #keep(file) {
    this.file = file;
    byId("depth-remove").hidden = file === null;
    this.#say(file === null ? text("depth.none") : text("depth.kept", { name: file.name, size: megabytes(file.size) }));
  }

  #say(sentence) {
    byId("depth-status").textContent = sentence;
  }

  #listenForDrops(zone) {
    zone.addEventListener("dragover", () => zone.classList.add("over"));
    zone.addEventListener("dragleave", (event) => {
      if (!zone.contains(event.relatedTarget)) zone.classList.remove("over");
    });
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      event.stopPropagation(); // elsewhere on the page, a file is a photo
      for (const element of [zone, byId("intake")]) element.classList.remove("over");
      if (event.dataTransfer.files.length) this.take(event.dataTransfer.files[0]);
    });
  }
}
