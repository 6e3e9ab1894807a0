// The photo and its mask: the service finds the mask, the user corrects it, and the service checks it again.

import * as api from "./api.js";
import { byId, showOnly } from "./dom.js";
import { Mask } from "./mask.js";
import { MaskEditor } from "./mask_editor.js";
import { pause, retryWhileBusy } from "./retry.js";
import { hideProblem, showProblem, showWaiting } from "./problem_box.js";
import { megabytes, percent } from "./format.js";
import { text, textOr } from "./texts.js";

const CHECK_DELAY = 600; // milliseconds without a change before a corrected mask is checked

export class Photo {
  /**
   * changed(usable): called whenever it may have changed whether a run can begin.
   * catalogue(): return the response of /api/options, or null before it has arrived.
   */
  constructor(changed, catalogue) {
    this.changed = changed;
    this.catalogue = catalogue;
    this.editor = new MaskEditor(() => this.#checkCorrected());
    this.image = byId("photo-image");
    this.box = byId("photo-problem");
    this.file = null;
    byId("other-photo").addEventListener("click", () => this.clear());
    byId("mask-reset").addEventListener("click", () => this.#requestMask());
    byId("mask-file").addEventListener("change", ({ target }) => {
      if (target.files.length) this.#requestMask(target.files[0]);
      target.value = "";
    });
  }

  /** Show the photo and request its mask. */
  async take(file) {
    this.clear();
    this.file = file;
    const limit = this.catalogue()?.limits.max_upload_bytes;
    if (file.size > limit) {
      // The service would cut the connection before the browser could read its answer.
      showProblem(this.box, new api.Problem({ code: "file_too_large" }, null, { size: megabytes(file.size), limit: megabytes(limit) }));
      return;
    }
    this.#show("editor");
    byId("mask-canvas").focus({ preventScroll: true });
    this.shown = this.#showImage(file);
    await this.#requestMask();
  }

  /** Return the mask to send; null to use the mask that the service finds. */
  async mask() {
    return this.#isOwn ? this.editor.mask.toPng() : null;
  }

  get #isOwn() {
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

  /** Request the mask of the photo; uploaded: a mask file to check and use instead. */
  async #requestMask(uploaded = null) {
    const signal = this.#abort();
    const { file } = this;
    byId("mask-status").textContent = text("mask.looking");
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
      if (!signal.aborted) await this.#showRefusal(error, uploaded);
    }
  }

  async #showRefusal(problem, uploaded) {
    byId("mask-status").textContent = "";
    if (uploaded && this.editor.mask) {
      this.#showStatus("previous", null);
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

  /** Handle a change in the editor: show the new coverage at once, and the service's warnings a little later. */
  async #checkCorrected() {
    const { mask } = this.editor;
    byId("mask-reset").disabled = !this.#isOwn;
    if (!mask.done.length) {
      this.#abort();
      hideProblem(this.box);
      this.#showServiceMask();
      return;
    }
    const signal = this.#abort();
    this.#showStatus("corrected", null);
    this.changed(true);
    try {
      await pause(CHECK_DELAY, signal);
      const png = await mask.toPng();
      // The mask is also sent in place of the photo: only the size matters here, and the mask is small.
      const answer = await retryWhileBusy(() => api.mask(png, png, signal), () => {}, signal);
      hideProblem(this.box);
      this.#showStatus("corrected", answer);
    } catch (error) {
      if (signal.aborted) return;
      showProblem(this.box, error);
      this.changed(error.code !== "no_object"); // after any other error a run may still succeed
    }
  }

  /** Show the service's mask again. If it found none, a run cannot begin yet. */
  #showServiceMask() {
    this.changed(this.answer !== null);
    if (this.answer) this.#showStatus(this.answer.source, this.answer);
    else byId("mask-status").textContent = text("mask.paint");
  }

  /** source: where the mask comes from, as in the texts. answer: what the service says of the mask; null before it has. */
  #showStatus(source, answer) {
    const share = percent(answer?.coverage ?? this.editor.mask.coverage);
    const covers = text("mask.covers", { source: text(`mask.source.${source}`), share });
    const warnings = (answer?.warnings ?? []).map((code) => textOr(`mask.warning.${code}`, null) ?? textOr(`warning.${code}`, code));
    byId("mask-status").textContent = [covers, ...warnings].join(" ");
  }

  /** Show the photo; return whether the browser can. The service reads formats that browsers cannot. */
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

  /** Abort the pending request; return the signal for the next one. */
  #abort() {
    this.controller?.abort();
    this.controller = new AbortController();
    return this.controller.signal;
  }
}
