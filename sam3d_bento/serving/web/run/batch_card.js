// The card of one photo in a batch.

import { thumbnailUrl } from "../common/api.js";
import { make } from "../common/dom.js";
import { text } from "../common/texts.js";

const PICTURE = 160; // pixels of the photo's small picture
const IN_WORK = ["unsent", "sending", "waiting", "queued", "running"];

let lastPicture = Promise.resolve(); // until the picture that was begun last is drawn

export class BatchCard {
  /** act: {open(), edit(), cancel(), retry(), remove()}, called when the user asks for it. */
  constructor(item, act) {
    this.item = item;
    this.picture = make("span", { className: "batch-picture" });
    this.state = make("small", {});
    this.bar = make("progress", { max: 1 });
    this.bar.setAttribute("aria-label", text("batch.progress", { name: item.name }));
    this.buttons = {};
    for (const name of ["open", "edit", "retry", "cancel", "remove"]) {
      this.buttons[name] = make("button", { type: "button", onclick: act[name], textContent: text(`batch.${name}`) });
      this.buttons[name].setAttribute("aria-label", text(`batch.${name}.label`, { name: item.name }));
    }
    const caption = make("span", { className: "batch-caption" }, make("strong", { textContent: item.name, title: item.name }), this.state, this.bar);
    this.element = make("li", { className: "batch-card" }, this.picture, caption, make("span", { className: "buttons" }, ...Object.values(this.buttons)));
    this.#showPhoto();
  }

  /** Show what the item is now. */
  show() {
    const { state, fraction, seconds, problem, report, file } = this.item;
    this.element.dataset.state = state;
    this.state.textContent = problem && state === "failed" ? problem.message : text(`batch.state.${state}`, { seconds, percent: Math.round(100 * (fraction ?? 0)) });
    this.bar.hidden = !IN_WORK.includes(state);
    if (state === "running") this.bar.value = fraction;
    else this.bar.removeAttribute("value");
    const { open, edit, retry, cancel, remove } = this.buttons;
    open.hidden = state !== "done";
    edit.hidden = !(state === "failed" && problem?.code === "no_object" && file);
    retry.hidden = !(["failed", "cancelled"].includes(state) && file && problem?.code !== "file_too_large");
    cancel.hidden = !IN_WORK.includes(state);
    remove.hidden = IN_WORK.includes(state);
    if (state === "done" && this.shown !== report.id) this.#showModel(report.id);
  }

  /** Show the photo, small, and one photo after the other, so that many large ones need little memory. */
  async #showPhoto() {
    const before = lastPicture;
    let done;
    lastPicture = new Promise((resolve) => (done = resolve));
    await before;
    await this.#drawPhoto();
    done();
  }

  async #drawPhoto() {
    if (!this.item.file) return;
    try {
      const bitmap = await createImageBitmap(this.item.file);
      const scale = Math.min(1, PICTURE / Math.max(bitmap.width, bitmap.height));
      const canvas = make("canvas", { width: Math.round(bitmap.width * scale), height: Math.round(bitmap.height * scale) });
      canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      bitmap.close();
      if (!this.shown) this.picture.replaceChildren(canvas);
    } catch {
      // a format that only the service can read
    }
  }

  /** Show the model's picture once it has come; until then, the photo stays. */
  #showModel(id) {
    this.shown = id;
    const picture = make("img", { src: thumbnailUrl(id), alt: "" });
    picture.addEventListener("load", () => this.picture.replaceChildren(picture));
  }
}
