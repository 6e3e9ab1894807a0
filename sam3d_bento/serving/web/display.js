// The display: empty, a job's progress, a problem, or the 3D model with the tools to look at it.

import { Problem } from "./api.js";
import { byId, showOnly } from "./dom.js";
import { hideProblem, showProblem, showWaiting } from "./problem_box.js";
import { count } from "./format.js";

const KEYS = {
  ArrowLeft: (viewer) => viewer.turn(-1, 0),
  ArrowRight: (viewer) => viewer.turn(1, 0),
  ArrowUp: (viewer) => viewer.turn(0, 1),
  ArrowDown: (viewer) => viewer.turn(0, -1),
  "+": (viewer) => viewer.zoom(1),
  "=": (viewer) => viewer.zoom(1), // the key of + without Shift
  "-": (viewer) => viewer.zoom(-1),
  0: (viewer) => viewer.reset(),
};

const NO_WEBGL = {
  title: "This browser cannot show 3D models",
  detail: "WebGL is missing or switched off. The model can be downloaded.",
  code: "no_webgl",
};

export class Display {
  constructor() {
    this.parts = ["model-empty", "progress", "model-problem", "model-canvas", "texture-canvas"].map(byId);
    this.canvas = byId("model-canvas");
    this.canvas.addEventListener("keydown", (event) => {
      const act = KEYS[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act(this.viewer);
    });
    byId("reset-view").addEventListener("click", () => this.viewer.reset());
    byId("zoom-in").addEventListener("click", () => this.viewer.zoom(1));
    byId("zoom-out").addEventListener("click", () => this.viewer.zoom(-1));
    this.#switch("light", (on) => (this.viewer.lit = on));
    this.#switch("wireframe", (on) => (this.viewer.wireframe = on));
    this.#switch("rotate", (on) => (this.viewer.turning = on));
    this.#switch("texture", (on) => this.#see(byId(on ? "texture-canvas" : "model-canvas")));
    byId("background").addEventListener("change", ({ target }) => (byId("stage").dataset.background = target.value));
  }

  showProgress() {
    this.#see(byId("progress"));
  }

  showProblem(problem, actions) {
    showProblem(byId("model-problem"), problem, actions);
    this.#see(byId("model-problem"));
  }

  showWaiting(problem, seconds, stop) {
    showWaiting(byId("model-problem"), problem, seconds, stop);
    this.#see(byId("model-problem"));
  }

  /** The model that was there before, or nothing. */
  showLast() {
    this.#see(this.loaded ? this.canvas : byId("model-empty"));
  }

  /** glb: ArrayBuffer; report: what the service says of it. */
  async show(glb, report) {
    // Loaded with the first model: the page itself is there at once, also on a phone.
    const { Viewer } = await import("./viewer.js");
    this.#see(this.canvas); // it has a size only when it is seen
    try {
      this.viewer ??= new Viewer(this.canvas);
    } catch {
      throw new Problem(NO_WEBGL);
    }
    await this.viewer.show(glb);
    this.loaded = true;
    this.canvas.setAttribute("aria-label", `3D model of ${count(report.faces)} faces`);
    for (const name of ["wireframe", "rotate", "texture"]) byId(name).setAttribute("aria-pressed", "false");
    byId("light").setAttribute("aria-pressed", "true");
    this.viewer.turning = false;
    this.#showTexture();
    byId("view-tools").disabled = false;
  }

  #see(part) {
    showOnly(part, this.parts);
    byId("stage").dataset.showing = part.id;
    byId("view-tools").disabled = !this.loaded || (part !== this.canvas && part.id !== "texture-canvas");
    if (part.id !== "model-problem") hideProblem(byId("model-problem"));
  }

  #switch(id, act) {
    const button = byId(id);
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      act(on);
    });
  }

  #showTexture() {
    const image = this.viewer.texture;
    byId("texture").disabled = !image;
    if (!image) return;
    const canvas = byId("texture-canvas");
    Object.assign(canvas, { width: image.width, height: image.height });
    canvas.getContext("2d").drawImage(image, 0, 0);
  }
}
