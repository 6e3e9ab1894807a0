// The photo and what is chosen in it: the service finds the object, the user points at what is meant, and the service
// looks again.

import * as api from "../common/api.js";
import { byId, make } from "../common/dom.js";
import { History } from "./history.js";
import { Mask } from "./mask.js";
import { MaskEditor } from "./mask_editor.js";
import { showHome, showPart } from "./panel.js";
import { promptPicture } from "./prompt_picture.js";
import { pause, retryWhileBusy } from "../common/retry.js";
import { hideProblem, showProblem, showWaiting } from "../common/problem_box.js";
import { megabytes, percent } from "../common/format.js";
import { Scene } from "./scene.js";
import { text, textOr } from "../common/texts.js";

const CHECK_DELAY = 600; // milliseconds without a change before a painted mask is checked
const DIGITS = 1; // of a coordinate in a prompt: a tenth of a pixel
// Options of a single object, which the service refuses in a scene.
const OF_SINGLE_OBJECTS = ["height", "longest_side", "origin"];

// A choice says how an object's mask came about: {source, warnings, prompt, candidates, candidate, isAutomatic}.
// source: alpha, rembg, upload, prompt or painted. prompt: {points: [[x, y, inside]], box} in the mask's pixels, or null.
// candidates: what else the prompt may mean, as in the service's report. isAutomatic: the service finds it by itself.

export class Photo {
  /**
   * changed(usable): called whenever it may have changed whether a run can begin.
   * catalogue(): return the response of /api/options, or null before it has arrived.
   */
  constructor(changed, catalogue) {
    this.changed = changed;
    this.catalogue = catalogue;
    this.image = byId("photo-image");
    this.frame = byId("photo-frame");
    this.box = byId("photo-problem");
    this.file = null;
    this.asking = new Set(); // controllers of the requests on their way
    this.checking = null; // controller of the request that checks a painted mask
    this.history = new History(() => this.#changedMasks());
    this.scene = new Scene({
      activated: () => this.#refresh(),
      addObject: () => this.#addObject(),
      removeObject: (object) => this.#removeObject(object),
    });
    this.editor = new MaskEditor(this.scene, {
      point: (kind, place) => this.#point(kind, place),
      painted: (mask) => this.#painted(mask),
      candidate: (number) => this.#chooseCandidate(number),
      undo: () => this.history.undo(),
      redo: () => this.history.redo(),
      stop: () => this.#stop(),
    });
    byId("mask-reset").addEventListener("click", () => this.#requestMask());
    byId("mask-file").addEventListener("change", ({ target }) => {
      if (target.files.length) this.#requestMask(target.files[0]);
      target.value = "";
    });
  }

  /** Show the photo and request its mask. */
  async take(file) {
    const limit = this.catalogue()?.limits.max_upload_bytes;
    if (file.size > limit) {
      this.clear();
      // The service would cut the connection before the browser could read its answer.
      showProblem(this.box, new api.Problem({ code: "file_too_large" }, null, { size: megabytes(file.size), limit: megabytes(limit) }));
      return;
    }
    this.#open(file);
    byId("mask-canvas").focus({ preventScroll: true });
    byId("editor").scrollIntoView({ block: "nearest" }); // on a phone, a model may be above it
    await this.#find();
  }

  /** Return the photo and what is chosen in it, for `restore`; null without a photo. */
  kept() {
    return this.file && { file: this.file, scene: this.scene.kept() };
  }

  /** Show a photo and what was chosen in it. What was done to it before cannot be undone any more. */
  async restore({ file, scene }) {
    this.#open(file);
    if (!scene.objects.some(({ mask }) => mask.pixels.includes(1))) {
      await this.#find();
      return;
    }
    const isShown = await this.shown;
    if (this.file !== file) return; // another one was chosen
    this.scene.restore(scene);
    const { mask } = this.scene.active;
    if (!isShown) this.#fit(mask.width / mask.height);
    this.#changedMasks();
  }

  #open(file) {
    this.clear();
    this.file = file;
    showPart("editor");
    this.picture = null;
    this.shown = this.#showImage(file);
  }

  /** Look for the object. A click may say what is meant before the answer is there. */
  async #find() {
    const { file } = this;
    this.shown.then((isShown) => isShown && this.file === file && this.#awaitClicks());
    await this.#requestMask();
  }

  /** Return the fields of a run: the photo, and its mask or those of its scene. Without a mask the service finds it. */
  async fields() {
    const objects = this.scene.filled;
    if (objects.length === 1) {
      const [{ mask, choice }] = objects;
      return { image: this.file, mask: choice.isAutomatic ? null : await mask.toPng() };
    }
    return {
      image: this.file,
      masks: await Promise.all(objects.map(({ mask }) => mask.toPng())),
      objects: JSON.stringify(objects.map(({ name }, mask) => ({ name, mask }))),
    };
  }

  /** Return those of the options that can be sent with what is chosen. */
  fitting(options) {
    if (this.scene.filled.length < 2) return options;
    return Object.fromEntries(Object.entries(options).filter(([name]) => !OF_SINGLE_OBJECTS.includes(name)));
  }

  /** Show how far each object is. objects: as in a job's status; [] at its end. */
  showProgress(objects) {
    this.scene.showProgress(objects);
  }

  clear() {
    this.#stopAsking();
    this.file = null;
    hideProblem(this.box);
    this.scene.clear();
    this.history.clear();
    this.editor.clear();
    URL.revokeObjectURL(this.image.src);
    this.image.removeAttribute("src");
    this.#say("");
    byId("candidates").hidden = true;
    for (const id of ["undo", "redo", "mask-reset"]) byId(id).disabled = true;
    showHome();
    this.changed(false);
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

  /** Take clicks before the service has found the object: they say what is meant, and nothing else is looked for. */
  #awaitClicks() {
    if (this.scene.active) return;
    const { naturalWidth: width, naturalHeight: height } = this.image;
    this.scene.add(Mask.empty({ width, height }), null);
    this.editor.show();
  }

  #fit(ratio) {
    byId("easel").style.setProperty("--ratio", ratio);
  }

  // --- the service's own choice, or a mask that the user has -------------------------------------------------------------

  /** Request the mask of the photo; uploaded: a mask's file to check and use instead. */
  async #requestMask(uploaded = null) {
    const { file } = this;
    const signal = this.#ask("photo.looking", true);
    const waiting = (problem, seconds) => showWaiting(this.box, problem, seconds, () => this.clear());
    try {
      const answer = await retryWhileBusy(() => api.mask({ image: file, mask: uploaded }, signal), waiting, signal);
      const mask = await Mask.fromPicture(answer.png);
      if (signal.aborted) return;
      this.#answered(signal);
      if (!(await this.shown)) this.#fit(mask.width / mask.height);
      const choice = { source: answer.source, warnings: answer.warnings, prompt: null, candidates: [], isAutomatic: !uploaded };
      if (uploaded && this.scene.active) this.#replace(this.scene.active, mask.pixels, choice);
      else this.#begin(mask, choice);
    } catch (error) {
      if (signal.aborted) return;
      this.#answered(signal);
      await this.#showRefusal(error, uploaded);
    }
  }

  /** Give an object other pixels. choice: how they came about. */
  #replace(object, pixels, choice) {
    object.mask.begin();
    object.mask.pixels.set(pixels);
    this.#keep(object, choice);
  }

  /** Start with one object. */
  #begin(mask, choice) {
    this.history.clear();
    this.scene.clear();
    this.scene.add(mask, choice);
    this.#refresh();
  }

  async #showRefusal(problem, uploaded) {
    if (uploaded && this.scene.active) {
      this.#refresh();
    } else if (problem.code === "no_object" && (await this.shown)) {
      const { naturalWidth: width, naturalHeight: height } = this.image;
      this.#begin(Mask.empty({ width, height }), null);
    } else {
      this.clear();
    }
    showProblem(this.box, problem);
  }

  // --- pointing --------------------------------------------------------------------------------------------------------

  /** Handle a click or a box on the photo. kind: choose, add or remove. place: {point} or {box}. */
  async #point(kind, place) {
    const { active: object } = this.scene;
    const other = kind === "choose" && place.point && this.scene.otherAt(place.point);
    if (kind === "add" && object.mask.isEmpty) {
      await this.#askAbout(object, "choose", place);
    } else if (other) {
      this.scene.activate(other);
      this.#refresh();
    } else if (kind === "remove" && place.point && !object.mask.has(place.point)) {
      this.#say(text("mask.nothing_to_remove"));
    } else if (!this.#changeHere(object, kind, place)) {
      await this.#askAbout(object, kind, place);
    }
  }

  /** Make a change that needs no answer: a part that hangs together with nothing else. Return whether there was one. */
  #changeHere(object, kind, { point }) {
    if (kind === "choose" || !point) return false;
    object.mask.begin();
    const isDone = kind === "add" ? object.mask.addPart(point) : object.mask.removePart(point);
    this.#keep(object, { ...object.choice, source: "painted", warnings: [], candidates: [], isAutomatic: false });
    return isDone;
  }

  /** Ask the service what is meant, and change the mask accordingly. */
  async #askAbout(object, kind, place) {
    const signal = this.#ask("mask.looking", kind === "choose");
    const mark = this.editor.showPending(place);
    const prompt = promptOf(object, kind, place);
    try {
      const answer = await this.#prompted(object.mask, prompt, signal);
      const pixels = await object.mask.pixelsOf(answer.png);
      if (signal.aborted) return;
      this.#answered(signal);
      object.mask.begin();
      apply(object.mask.pixels, pixels, kind, place);
      const isChosen = kind === "choose";
      this.#keep(object, {
        source: "prompt",
        warnings: answer.warnings,
        prompt: isChosen ? prompt : joined(object.choice?.prompt, kind, place),
        candidates: isChosen ? answer.report.candidates : [],
        candidate: answer.report.candidate,
        isAutomatic: false,
      });
    } catch (error) {
      if (signal.aborted) return;
      this.#answered(signal);
      this.#refresh();
      if (error.code === "no_object") this.#say(text(kind === "remove" ? "mask.nothing_left" : "mask.nothing_here"));
      else showProblem(this.box, error);
    } finally {
      mark.remove();
    }
  }

  /** Choose another of the masks that the last click may mean. */
  async #chooseCandidate(number) {
    const { active: object } = this.scene;
    const { prompt, candidates, candidate } = object?.choice ?? {};
    if (!candidates?.[number] || number === candidate) return;
    const signal = this.#ask("mask.looking", true);
    try {
      const answer = await this.#prompted(object.mask, prompt, signal, number);
      const pixels = await object.mask.pixelsOf(answer.png);
      if (signal.aborted) return;
      this.#answered(signal);
      this.#replace(object, pixels, { ...object.choice, warnings: answer.warnings, candidate: number });
    } catch (error) {
      if (signal.aborted) return;
      this.#answered(signal);
      this.#refresh();
      showProblem(this.box, error);
    }
  }

  /** Return the service's answer to a prompt in pixels of `mask`. */
  async #prompted(mask, { points, box }, signal, candidate = null) {
    this.picture ??= promptPicture(this.file, mask.photoSize);
    const picture = await this.picture;
    const factor = picture.width / mask.width;
    const written = (numbers) => numbers.map((number) => (number * factor).toFixed(DIGITS)).join();
    const fields = {
      image: picture.blob,
      points: points.length ? points.map(([x, y, inside]) => `${written([x, y])},${Number(inside)}`).join(";") : null,
      box: box && written(box),
      candidate,
    };
    const waiting = (problem, seconds) => showWaiting(this.box, problem, seconds, () => this.#stop());
    return retryWhileBusy(() => api.mask(fields, signal), waiting, signal);
  }

  // --- painting --------------------------------------------------------------------------------------------------------

  #painted(mask) {
    const object = this.scene.objects.find((one) => one.mask === mask);
    this.#keep(object, { ...object.choice, source: "painted", warnings: [], candidates: [], isAutomatic: false });
  }

  /** Ask the service for its warnings about a painted mask, a little later. */
  async #check(object) {
    const { mask, choice } = object;
    this.checking = new AbortController();
    const { signal } = this.checking;
    try {
      await pause(CHECK_DELAY, signal);
      const png = await mask.toPng(mask);
      // The mask is also sent in place of the photo: only the size matters here, and the mask is small.
      const answer = await retryWhileBusy(() => api.mask({ image: png, mask: png }, signal), () => {}, signal);
      object.choice = { ...choice, warnings: answer.warnings };
      this.#refresh();
    } catch (error) {
      if (signal.aborted) return;
      showProblem(this.box, error);
      if (error.code === "no_object") this.changed(false); // after any other error a run may still succeed
    }
  }

  // --- objects ---------------------------------------------------------------------------------------------------------

  #addObject() {
    const most = this.catalogue()?.limits.max_objects ?? Infinity;
    if (this.scene.objects.length >= most) {
      this.#say(text("scene.full", { count: most }));
      return;
    }
    this.#stopAsking();
    const object = this.scene.add(this.scene.active.mask.emptied(), null);
    this.history.add({
      undo: () => this.scene.remove(object),
      redo: () => this.scene.insert(object, this.scene.objects.length),
    });
    byId("mask-canvas").focus({ preventScroll: true });
  }

  #removeObject(object) {
    this.#stopAsking();
    const index = this.scene.remove(object);
    this.history.add({
      undo: () => this.scene.insert(object, index),
      redo: () => this.scene.remove(object),
    });
  }

  // --- state -----------------------------------------------------------------------------------------------------------

  /** Handle a change of the objects or their masks, undo and redo included. */
  #changedMasks() {
    this.checking?.abort();
    hideProblem(this.box);
    this.#refresh();
    const { active } = this.scene;
    if (active?.choice?.source === "painted" && !active.mask.isEmpty) this.#check(active);
  }

  /** End a change of a mask, and keep it for undo. choice: how the mask came about. */
  #keep(object, choice) {
    const indices = object.mask.end();
    if (!indices.length && choice.source === "painted") return;
    const before = object.choice;
    const flip = (to) => {
      object.mask.flip(indices);
      object.choice = to;
      this.scene.activate(object);
    };
    object.choice = choice;
    this.history.add({ undo: () => flip(before), redo: () => flip(choice) });
  }

  /** Show what is chosen, and whether a run can begin. */
  #refresh() {
    const { active } = this.scene;
    byId("undo").disabled = !this.history.done.length;
    byId("redo").disabled = !this.history.undone.length;
    byId("mask-reset").disabled = !this.history.done.length && (active?.choice?.isAutomatic ?? true);
    if (!active) return;
    this.scene.refresh();
    this.editor.show();
    this.#showCandidates(active.choice);
    this.#say(this.#description(active));
    this.changed(this.scene.filled.length > 0 && !this.asking.size);
  }

  #description({ mask, choice }) {
    if (mask.isEmpty) return text(this.scene.objects.length > 1 ? "scene.next" : "mask.nothing_chosen");
    const covers = text(`mask.source.${choice.source}`, { share: percent(mask.coverage) });
    const warnings = choice.warnings.map((code) => textOr(`mask.warning.${code}`, null) ?? textOr(`warning.${code}`, code));
    return [covers, ...warnings].join(" ");
  }

  #showCandidates(choice) {
    const candidates = choice?.candidates ?? [];
    byId("candidates").hidden = candidates.length < 2;
    byId("candidate-list").replaceChildren(
      ...candidates.map(({ coverage }, number) => {
        const button = make("button", { type: "button", className: "chip", onclick: () => this.#chooseCandidate(number) }, String(number + 1));
        button.append(make("small", { textContent: percent(coverage) }));
        button.setAttribute("aria-pressed", String(number === choice.candidate));
        return button;
      }),
    );
  }

  #say(sentence) {
    byId("mask-status").textContent = sentence;
  }

  /** Begin a request; return its signal. alone: abort the others. sentence: key of the text that says what is done. */
  #ask(sentence, alone) {
    if (alone) this.#stopAsking();
    const controller = new AbortController();
    this.asking.add(controller);
    if (sentence) {
      hideProblem(this.box);
      this.#say(text(sentence));
      this.frame.dataset.state = "asking";
      this.changed(false);
    }
    return controller.signal;
  }

  #answered(signal) {
    for (const controller of this.asking) if (controller.signal === signal) this.asking.delete(controller);
    if (!this.asking.size) this.frame.dataset.state = "";
  }

  #stopAsking() {
    this.checking?.abort();
    for (const controller of this.asking) controller.abort();
    this.asking.clear();
    this.frame.dataset.state = "";
  }

  /** Stop waiting for answers, as the user wishes. */
  #stop() {
    this.#stopAsking();
    hideProblem(this.box);
    this.#refresh();
  }
}

/** Return what to ask the service: {points, box} in the mask's pixels. */
function promptOf({ mask, choice }, kind, { point, box }) {
  if (box) return { points: [], box };
  if (kind !== "remove") return { points: [[...point, true]], box: null };
  // The object as it is, without what is nearer to this point than to those that it was chosen by.
  const [left, top, right, bottom] = mask.box;
  const inside = (choice?.prompt?.points ?? []).filter(([x, y, isInside]) => isInside && x >= left && x <= right && y >= top && y <= bottom);
  return { points: [...inside, [...point, false]], box: mask.box };
}

/** Return the marks of a prompt to which a click was added. */
function joined(prompt, kind, { point }) {
  const before = prompt ?? { points: [], box: null };
  return point ? { ...before, points: [...before.points, [...point, kind === "add"]] } : before;
}

/** Change the pixels of a mask by those of an answer. */
function apply(pixels, answer, kind, { box }) {
  for (let i = 0; i < pixels.length; i += 1) {
    if (kind === "choose") pixels[i] = answer[i];
    else if (kind === "add") pixels[i] |= answer[i];
    else pixels[i] &= box ? 1 - answer[i] : answer[i];
  }
}
