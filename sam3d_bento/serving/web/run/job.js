// Submit one job and follow it by server-sent events until it ends.

import * as api from "../common/api.js";
import { forgetPhoto, keepPhoto, movePhoto } from "../storage/photos.js";
import { retryWhileBusy } from "../common/retry.js";

const JOB_ID_KEY = "sam3d-job"; // storage key of the job's id, so that the page finds the job after a reload

export class Job {
  /** on: {waiting(problem, seconds), progress(job), interrupted(), done(job), failed(problem), cancelled()} */
  constructor(on) {
    this.on = on;
    this.controller = new AbortController();
    this.photo = null; // unknown for a job that was found again after a reload
  }

  /** Return the id of the job that was running when the page was left; null if there was none. */
  static remembered() {
    return sessionStorage.getItem(JOB_ID_KEY);
  }

  /** Submit the job. fields: the files and the options. */
  async submit(fields) {
    this.photo = fields.image;
    const { signal } = this.controller;
    try {
      const job = await retryWhileBusy(() => api.submit(fields, signal), this.on.waiting, signal);
      keepPhoto(job.id, this.photo);
      this.follow(job.id);
      this.on.progress(job);
    } catch (error) {
      if (signal.aborted) this.on.cancelled();
      else this.on.failed(error);
    }
  }

  follow(id) {
    this.id = id;
    sessionStorage.setItem(JOB_ID_KEY, id);
    this.source = new EventSource(api.eventsUrl(id));
    const listen = (name, act) => this.source.addEventListener(name, ({ data }) => act(JSON.parse(data)));
    listen("progress", (job) => this.on.progress(job));
    for (const name of ["done", "failed", "cancelled"]) listen(name, (job) => this.#end(job));
    this.source.addEventListener("error", () => this.#interrupted());
  }

  /** Cancel the job: a queued job ends at once, a running one at its next step. Before submission, stop trying. */
  async cancel() {
    this.controller.abort();
    if (!this.id) return;
    try {
      await api.cancel(this.id);
    } catch (error) {
      this.#fail(error);
    }
  }

  async #end(job) {
    this.#close();
    await (job.state === "done" ? movePhoto(job.id, job.report.id) : forgetPhoto(job.id));
    if (job.state === "done") this.on.done(job);
    else if (job.state === "cancelled") this.on.cancelled();
    else this.on.failed(new api.Problem(job.problem, null));
  }

  /** Handle a cut connection. The browser reconnects by itself unless the service refused; then read the job's state. */
  async #interrupted() {
    if (this.source.readyState !== EventSource.CLOSED) {
      this.on.interrupted();
      return;
    }
    try {
      const job = await api.job(this.id);
      if (job.state === "queued" || job.state === "running") this.follow(this.id);
      else this.#end(job);
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error) {
    this.#close();
    this.on.failed(error);
  }

  #close() {
    this.source.close();
    sessionStorage.removeItem(JOB_ID_KEY);
  }
}
