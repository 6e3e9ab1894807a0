// The display shows nothing, a job's progress, a problem, or the 3D model with the viewing tools.

import { Problem } from "./api.js";
import { byId, showOnly } from "./dom.js";
import { hideProblem, showProblem, showWaiting } from "./problem_box.js";
import { text } from "./texts.js";

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
    this.#addSwitch("light", (on) => (this.viewer.lit = on));
    this.#addSwitch("wireframe", (on) => (this.viewer.wireframe = on));
    this.#addSwitch("rotate", (on) => (this.viewer.turning = on));
    this.#addSwitch("texture", (on) => this.#showPart(byId(on ? "texture-canvas" : "model-canvas")));
    byId("background").addEventListener("change", ({ target }) => (byId("stage").dataset.background = target.value));
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

  /** Show the previous model, or the empty display if there is none. */
  showLast() {
    this.#showPart(this.loaded ? this.canvas : byId("model-empty"));
  }

  /** Show a model. glb: ArrayBuffer. report: the service's report on it. */
  async show(glb, report) {
    // The viewer is loaded with the first model, so that the page itself loads quickly on a phone too.
    const { Viewer } = await import("./viewer.js");
    this.#showPart(this.canvas); // a hidden canvas has no size
    try {
      this.viewer ??= new Viewer(this.canvas);
    } catch {
      throw new Problem({ code: "no_webgl" });
    }
    await this.viewer.show(glb);
    this.loaded = true;
    this.canvas.setAttribute("aria-label", text("viewer.faces", { count: report.faces }));
    for (const name of ["wireframe", "rotate", "texture"]) byId(name).setAttribute("aria-pressed", "false");
    byId("light").setAttribute("aria-pressed", "true");
    this.viewer.turning = false;
    this.#showTexture();
    byId("view-tools").disabled = false;
  }

  #showPart(part) {
    showOnly(part, this.parts);
    byId("stage").dataset.showing = part.id;
    byId("view-tools").disabled = !this.loaded || (part !== this.canvas && part.id !== "texture-canvas");
    if (part.id !== "model-problem") hideProblem(byId("model-problem"));
  }

  #addSwitch(id, act) {
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
