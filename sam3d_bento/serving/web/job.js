// One job from its submission to its end, which is followed by server-sent events.

import * as api from "./api.js";
import { retryWhileBusy } from "./retry.js";

const UNDER_WAY = "sam3d-job"; // its id, so that the page finds it again after a reload

export class Job {
  /** on: {waiting(problem, seconds), progress(job), interrupted(), done(job), failed(problem), cancelled()} */
  constructor(on) {
    this.on = on;
    this.controller = new AbortController();
  }

  /** The job that was under way when the page was left; null when there is none. */
  static remembered() {
    return sessionStorage.getItem(UNDER_WAY);
  }

  async submit(photo, mask, options) {
    const { signal } = this.controller;
    try {
      const job = await retryWhileBusy(() => api.submit(photo, mask, options, signal), this.on.waiting, signal);
      this.follow(job.id);
      this.on.progress(job);
    } catch (error) {
      if (signal.aborted) this.on.cancelled();
      else this.on.failed(error);
    }
  }

  follow(id) {
    this.id = id;
    sessionStorage.setItem(UNDER_WAY, id);
    this.source = new EventSource(api.eventsUrl(id));
    const listen = (name, act) => this.source.addEventListener(name, ({ data }) => act(JSON.parse(data)));
    listen("progress", (job) => this.on.progress(job));
    for (const name of ["done", "failed", "cancelled"]) listen(name, (job) => this.#end(job));
    this.source.addEventListener("error", () => this.#interrupted());
  }

  /** Ends a queued job at once, a running one at its next step; before there is a job, the attempts to submit it. */
  async cancel() {
    this.controller.abort();
    if (!this.id) return;
    try {
      await api.cancel(this.id);
    } catch (error) {
      this.#fail(error);
    }
  }

  #end(job) {
    this.#close();
    if (job.state === "done") this.on.done(job);
    else if (job.state === "cancelled") this.on.cancelled();
    else this.on.failed(new api.Problem(job.problem, null));
  }

  /** The browser connects again by itself, unless the service refused: then the job tells why. */
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
    sessionStorage.removeItem(UNDER_WAY);
  }
}
