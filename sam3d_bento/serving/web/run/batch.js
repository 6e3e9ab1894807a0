// Several photos at once: a card for each with its own progress, and a zip of all models at the end.

import * as api from "../common/api.js";
import { BatchCard } from "./batch_card.js";
import { byId } from "../common/dom.js";
import { megabytes } from "../common/format.js";
import { newId } from "../storage/file_store.js";
import { dropFile, dropOldFiles, findFile, keepFile } from "../storage/kept_files.js";
import { keepPhoto } from "../storage/photos.js";
import { setHome, showHome } from "../photo/panel.js";
import { pause, retryWhileBusy } from "../common/retry.js";
import { save } from "../common/saving.js";
import { text } from "../common/texts.js";

const KEY = "sam3d-batch"; // storage key of the list; it belongs to the tab, as a running job does
const POLL = 1000; // milliseconds between two looks at the jobs; a stream for each would take all of a browser's connections
const ACTIVE = ["queued", "running"]; // states of a job that has not ended
const UNSENT = ["unsent", "sending", "waiting"];
// An item is {id, name, file, state, fraction, seconds, jobId, report, problem, options}.
// state: ready (may be started), unsent, sending, waiting (the queue is full), then as that of its job.

export class Batch {
  /**
   * on: {changed(), finished(report), open(report), edit(file)}: called when what can be done may have changed, when a model
   * is ready, to show a model, and to choose the object in a photo by hand.
   * catalogue(): return the response of /api/options, or null before it has arrived.
   */
  constructor(on, catalogue) {
    Object.assign(this, { on, catalogue, items: [], cards: new Map() });
    byId("batch-zip").addEventListener("click", () => this.#zip());
    byId("batch-stop").addEventListener("click", () => this.items.forEach((item) => this.#cancel(item)));
  }

  get isOpen() {
    return this.items.length > 0;
  }

  /** Number of photos that can be started. */
  get ready() {
    return this.items.filter(({ state }) => state === "ready").length;
  }

  get isBusy() {
    return this.items.some(({ state }) => UNSENT.includes(state) || ACTIVE.includes(state));
  }

  /** Add photos. skipped: number of files that came with them and are none. */
  add(files, skipped) {
    for (const file of files) {
      const item = { id: newId(), name: file.name, file, state: "ready" };
      this.#insert(item);
      keepFile(item.id, file);
    }
    byId("batch-status").textContent = skipped ? text("batch.skipped", { count: skipped }) : "";
    this.#show();
    this.#changed();
  }

  /** Send all photos that were not sent yet, with these options. */
  start(options) {
    for (const item of this.items) if (item.state === "ready") Object.assign(item, { state: "unsent", options });
    this.#changed();
    this.#send();
  }

  /** Forget all photos; end what runs. */
  clear() {
    for (const item of [...this.items]) this.#remove(item);
  }

  /** Find the batch again that this tab had before the page was loaded anew. */
  async restore() {
    dropOldFiles();
    for (const kept of read()) {
      const item = { ...kept, file: await findFile(kept.id), isKnown: kept.state === "done" };
      if (item.jobId) item.state = "queued"; // what it is now, the service says
      else if (!item.file) Object.assign(item, { state: "failed", problem: { message: text("batch.lost") } });
      else if (UNSENT.includes(item.state)) item.state = "unsent";
      this.#insert(item);
    }
    if (!this.items.length) return;
    this.#show();
    this.#changed();
    this.#send();
    this.#follow();
  }

  #show() {
    setHome(this.items.length ? "batch" : "intake");
    showHome();
  }

  #insert(item) {
    this.items.push(item);
    const card = new BatchCard(item, {
      open: () => this.on.open(item.report),
      edit: () => {
        const { file } = item;
        this.#remove(item);
        this.on.edit(file);
      },
      cancel: () => this.#cancel(item),
      retry: () => this.#retry(item),
      remove: () => this.#remove(item),
    });
    this.cards.set(item, card);
    byId("batch-items").append(card.element);
  }

  #retry(item) {
    Object.assign(item, { state: "unsent", jobId: null, problem: null, fraction: 0 });
    this.#changed();
    this.#send();
  }

  #remove(item) {
    this.#cancel(item);
    this.items.splice(this.items.indexOf(item), 1);
    this.cards.get(item).element.remove();
    this.cards.delete(item);
    dropFile(item.id);
    if (!this.items.length) this.#show();
    this.#changed();
  }

  async #cancel(item) {
    item.controller?.abort();
    if (UNSENT.includes(item.state)) item.state = "cancelled";
    this.#changed();
    if (!ACTIVE.includes(item.state)) return;
    try {
      await api.cancel(item.jobId); // that it has ended, the next look at the job says
    } catch {
      // the job has gone, or the service does not answer: the next look says which
    }
  }

  /** Send the unsent photos, one after the other; where the queue is full, wait as long as the service says. */
  async #send() {
    if (this.isSending) return;
    this.isSending = true;
    for (let item; (item = this.items.find(({ state }) => state === "unsent")); ) await this.#submit(item);
    this.isSending = false;
  }

  async #submit(item) {
    const limit = this.catalogue()?.limits.max_upload_bytes;
    if (item.file.size > limit) {
      this.#fail(item, new api.Problem({ code: "file_too_large" }, null, { size: megabytes(item.file.size), limit: megabytes(limit) }));
      return;
    }
    item.controller = new AbortController();
    const { signal } = item.controller;
    item.state = "sending";
    this.#changed();
    const waiting = (problem, seconds) => {
      Object.assign(item, { state: "waiting", seconds });
      this.cards.get(item)?.show();
    };
    try {
      this.#take(item, await retryWhileBusy(() => api.submit({ image: item.file, ...item.options }, signal), waiting, signal));
      this.#follow();
    } catch (problem) {
      if (!signal.aborted) this.#fail(item, problem);
    }
  }

  /** Look at the jobs until all have ended. */
  async #follow() {
    if (this.isFollowing) return;
    this.isFollowing = true;
    for (let active; (active = this.items.filter(({ state }) => ACTIVE.includes(state))).length; await pause(POLL)) {
      for (const item of active) await this.#look(item);
    }
    this.isFollowing = false;
  }

  async #look(item) {
    try {
      const job = await api.job(item.jobId);
      if (this.items.includes(item)) this.#take(item, job);
    } catch (problem) {
      if (problem.code !== "unreachable") this.#fail(item, problem); // without a connection it is tried again
    }
  }

  /** Take over what the service says of an item's job. */
  #take(item, job) {
    Object.assign(item, { jobId: job.id, state: job.state, fraction: job.fraction ?? 0, report: job.report });
    if (job.problem) item.problem = new api.Problem(job.problem);
    if (job.state === "done" && !item.isKnown) {
      item.isKnown = true;
      if (item.file) keepPhoto(job.report.id, item.file);
      this.on.finished(job.report);
    }
    this.#changed(item);
  }

  #fail(item, problem) {
    Object.assign(item, { state: "failed", problem });
    this.#changed(item);
  }

  /** Show and keep what has changed. item: the only one that has. */
  #changed(item = null) {
    for (const [one, card] of this.cards) if (item === null || one === item) card.show();
    const done = this.items.filter(({ state }) => state === "done").length;
    const summary = text("batch.summary", { count: this.items.length, done });
    if (byId("batch-summary").textContent !== summary) byId("batch-summary").textContent = summary;
    byId("batch-zip").disabled = !done || this.isPacking;
    byId("batch-stop").hidden = !this.isBusy;
    write(this.items.map(({ id, name, state, jobId, options }) => ({ id, name, state, jobId, options })));
    this.on.changed();
  }

  async #zip() {
    this.isPacking = true;
    this.#changed();
    const done = this.items.filter(({ state }) => state === "done");
    const { downloadZip } = await import("../vendor/client-zip.js");
    const missing = [];
    const zip = await downloadZip(this.#models(done, missing)).blob();
    this.isPacking = false;
    this.#changed();
    if (missing.length < done.length) save(zip, text("batch.zip_name"));
    byId("batch-status").textContent = missing.length ? text("batch.missing", { names: missing.join(", ") }) : text("batch.zipped", { size: megabytes(zip.size) });
  }

  /** Yield the models as files of a zip. missing: receives the names of those that the service no longer has. */
  async *#models(items, missing) {
    const names = new Map();
    for (const [index, { name, report }] of items.entries()) {
      byId("batch-status").textContent = text("batch.packing", { number: index + 1, total: items.length });
      try {
        const content = await api.asset(report.id);
        const stem = report.name ?? name;
        const same = names.get(stem) ?? 0;
        names.set(stem, same + 1);
        yield { name: `${stem}${same ? ` ${same + 1}` : ""}.glb`, input: content };
      } catch {
        missing.push(name);
      }
    }
  }
}

/** Read the list of the batch. Empty if storage is switched off. */
function read() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? [];
  } catch {
    return [];
  }
}

function write(items) {
  try {
    if (items.length) sessionStorage.setItem(KEY, JSON.stringify(items));
    else sessionStorage.removeItem(KEY);
  } catch {
    // storage is full or switched off; the batch works without a reload
  }
}
