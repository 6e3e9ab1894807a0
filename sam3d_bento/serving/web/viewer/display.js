// The display shows nothing, a job's progress, a problem, or the 3D model with the viewing tools.

import { Problem } from "../common/api.js";
import { byId, showOnly } from "../common/dom.js";
import { hideProblem, showProblem, showWaiting } from "../common/problem_box.js";
import { text } from "../common/texts.js";
import { sizeText, ViewerTools } from "./tools.js";

export class Display {
  constructor() {
    this.parts = ["model-empty", "progress", "model-problem", "model-canvas", "texture-canvas"].map(byId);
    this.canvas = byId("model-canvas");
    this.tools = new ViewerTools((part) => this.#showPart(part));
    this.tools.usable = false;
  }

  showProgress() {
    this.#showPart(byId("progress"));
  }

  showProblem(problem, actions) {
    showProblem(byId("model-problem"), problem, actions);
    this.#showPart(byId("model-problem"));
  }

  showWaiting(problem, seconds, stop) {
    showWaiting(byId("model-problem"), problem, seconds, stop);
    this.#showPart(byId("model-problem"));
  }

  /** Put the model away. */
  clear() {
    this.loaded = false;
    this.showLast();
  }

  /** Show the previous model, or the empty display if there is none. */
  showLast() {
    this.#showPart(this.loaded ? this.canvas : byId("model-empty"));
  }

  /** Show a model (ArrayBuffer of a GLB); return what the file says of itself, as in a report. */
  async show(glb) {
    // The viewer is loaded with the first model, so that the page itself loads quickly on a phone too.
    const { Viewer } = await import("./viewer.js");
    this.#showPart(this.canvas); // a hidden canvas has no size
    try {
      this.viewer ??= new Viewer(this.canvas, sizeText);
    } catch {
      throw new Problem({ code: "no_webgl" });
    }
    const report = await this.viewer.show(glb);
    this.loaded = true;
    this.canvas.setAttribute("aria-label", text("viewer.faces", { count: report.faces }));
    this.tools.use(this.viewer, report.name);
    this.tools.usable = true;
    return report;
  }

  #showPart(part) {
    showOnly(part, this.parts);
    byId("stage").dataset.showing = part.id;
    this.tools.usable = Boolean(this.loaded) && (part === this.canvas || part.id === "texture-canvas");
    if (part.id !== "model-problem") hideProblem(byId("model-problem"));
  }
}
