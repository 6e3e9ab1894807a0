// The photo and the mask that will be used for it: asked from the service, corrected by the person, checked again.

import * as api from "./api.js";
import { byId, showOnly } from "./dom.js";
import { Mask } from "./mask.js";
import { MaskEditor } from "./mask_editor.js";
import { pause, retryWhileBusy } from "./retry.js";
import { hideProblem, showProblem, showWaiting } from "./problem_box.js";
import { megabytes, percent } from "./format.js";

const SOURCES = {
  rembg: "The object was found in the photo",
  alpha: "The photo's own transparency is the mask",
  upload: "Your mask will be used",
};
const SETTLED = 600; // milliseconds without a change, after which a corrected mask is checked

export class Photo {
  /**
   * changed(usable): called with whether a run could begin, each time that it may be different.
   * catalogue(): the answer of /api/options, null while it is not known.
   */
  constructor(changed, catalogue) {
    this.changed = changed;
    this.catalogue = catalogue;
    this.editor = new MaskEditor(() => this.#corrected());
    this.image = byId("photo-image");
    this.box = byId("photo-problem");
    this.file = null;
    byId("other-photo").addEventListener("click", () => this.clear());
    byId("mask-reset").addEventListener("click", () => this.#ask());
    byId("mask-file").addEventListener("change", ({ target }) => {
      if (target.files.length) this.#ask(target.files[0]);
      target.value = "";
    });
  }

  /** Show the photo and ask for its mask. */
  async take(file) {
    this.clear();
    this.file = file;
    const limit = this.catalogue()?.limits.max_upload_bytes;
    if (file.size > limit) {
      // Sent anyway, the connection would be cut before the answer could be read.
      showProblem(this.box, new api.Problem({
        title: "The photo is too large",
        detail: `It has ${megabytes(file.size)}; ${megabytes(limit)} are taken.`,
        code: "too_large",
      }));
      return;
    }
    this.#show("editor");
    byId("mask-canvas").focus({ preventScroll: true });
    this.shown = this.#showImage(file);
    await this.#ask();
  }

  /** The mask to send: null when the service's own is to be used. */
  async mask() {
    return this.#own ? this.editor.mask.toPng() : null;
  }

  get #own() {
    return this.uploaded || this.editor.mask.done.length > 0;
  }

  clear() {
    this.#abort();
    this.file = null;
    hideProblem(this.box);
    this.editor.clear();
    URL.revokeObjectURL(this.image.src);
    this.image.removeAttribute("src");
    byId("mask-status").textContent = "";
    this.#show("intake");
    this.changed(false);
  }

  #show(part) {
    showOnly(byId(part), [byId("editor"), byId("intake")]);
    byId("other-photo").hidden = part === "intake";
  }

  /** Ask for the mask, or for what becomes of an uploaded one. */
  async #ask(uploaded = null) {
    const signal = this.#abort();
    const { file } = this;
    byId("mask-status").textContent = "Looking for the object…";
    this.changed(false);
    hideProblem(this.box);
    const waiting = (problem, seconds) => showWaiting(this.box, problem, seconds, () => this.clear());
    try {
      const answer = await retryWhileBusy(() => api.mask(file, uploaded, signal), waiting, signal);
      const mask = await Mask.fromPicture(answer.png);
      if (signal.aborted) return;
      hideProblem(this.box);
      if (!(await this.shown)) this.#fit(mask.width / mask.height);
      this.uploaded = uploaded !== null;
      this.answer = answer;
      this.editor.show(mask);
    } catch (error) {
      if (!signal.aborted) await this.#refused(error, uploaded);
    }
  }

  async #refused(problem, uploaded) {
    byId("mask-status").textContent = "";
    if (uploaded && this.editor.mask) {
      this.#tell("The mask before it is kept", null);
      this.changed(true);
    } else if (problem.code === "no_object" && (await this.shown)) {
      const { naturalWidth: width, naturalHeight: height } = this.image;
      this.uploaded = false;
      this.answer = null;
      this.editor.show(new Mask(width, height, new Uint8Array(width * height), new Uint8Array(width * height)));
    } else {
      this.clear();
    }
    showProblem(this.box, problem);
  }

  /** The mask in the editor is another: what it covers is known at once, what the service says of it a little later. */
  async #corrected() {
    const { mask } = this.editor;
    byId("mask-reset").disabled = !this.#own;
    if (!mask.done.length) {
      this.#abort();
      hideProblem(this.box);
      this.#asAnswered();
      return;
    }
    const signal = this.#abort();
    this.#tell("Your corrected mask will be used", null);
    this.changed(true);
    try {
      await pause(SETTLED, signal);
      const png = await mask.toPng();
      // The mask stands for the photo too: it has its size, which is all that counts here, and is quickly sent.
      const answer = await retryWhileBusy(() => api.mask(png, png, signal), () => {}, signal);
      hideProblem(this.box);
      this.#tell("Your corrected mask will be used", answer);
    } catch (error) {
      if (signal.aborted) return;
      showProblem(this.box, error);
      this.changed(error.code !== "no_object"); // of anything else the run itself is the judge
    }
  }

  /** The mask is as the service gave it; when it gave none, there is nothing to run with yet. */
  #asAnswered() {
    this.changed(this.answer !== null);
    if (this.answer) this.#tell(SOURCES[this.answer.source], this.answer);
    else byId("mask-status").textContent = "Paint the object with the brush Add, or use a mask of your own.";
  }

  #tell(source, answer) {
    const covers = `${source}; it covers ${percent(answer?.coverage ?? this.editor.mask.coverage)} of the photo.`;
    const warnings = (answer?.warnings ?? []).map((code) => this.catalogue()?.warnings[code] ?? code);
    byId("mask-status").textContent = [covers, ...warnings].join(" ");
  }

  /** Whether the browser can show the photo; the service reads formats that browsers do not. */
  async #showImage(file) {
    this.image.src = URL.createObjectURL(file);
    try {
      await this.image.decode();
    } catch {
      this.image.removeAttribute("src");
      return false;
    }
    this.#fit(this.image.naturalWidth / this.image.naturalHeight);
    return true;
  }

  #fit(ratio) {
    byId("easel").style.setProperty("--ratio", ratio);
  }

  /** End what is under way; the signal of what comes next. */
  #abort() {
    this.controller?.abort();
    this.controller = new AbortController();
    return this.controller.signal;
  }
}
