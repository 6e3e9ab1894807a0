// The tools of a viewer: how the model looks, where it is looked at from, its objects, pictures and films of it.

import { byId, make } from "../common/dom.js";
import { icon } from "../common/icons.js";
import { save } from "../common/saving.js";
import { text } from "../common/texts.js";

const LOOKS = ["lit", "unlit", "normals", "wireframe", "uv", "texture"]; // `texture` is shown flat, in its own canvas
const BACKGROUNDS = ["page", "white", "grey", "black"];

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

/** Return a length in metres as a text in the unit that people use for it. */
export function sizeText(metres) {
  const [value, unit] = metres < 0.0095 ? [1000 * metres, "millimeter"] : metres < 1 ? [100 * metres, "centimeter"] : [metres, "meter"];
  return new Intl.NumberFormat(document.documentElement.lang, { style: "unit", unit, maximumSignificantDigits: 3 }).format(value);
}

export class ViewerTools {
  /**
   * Fill the element `view-tools`. They work on the viewer of `use`, whose canvas is `model-canvas` in `stage`.
   * showPart(element): called to show one of the two canvases.
   */
  constructor(showPart) {
    this.stage = byId("stage");
    this.showPart = showPart;
    this.look = choice("look", text("viewer.look"), LOOKS.map((look) => [look, text(`viewer.look.${look}`)]));
    this.look.addEventListener("change", () => this.#showLook());
    const background = choice("background", text("viewer.background"), BACKGROUNDS.map((name) => [name, text(`viewer.background.${name}`)]));
    background.addEventListener("change", () => (this.stage.dataset.background = background.value));
    const press = (name, act) => {
      const button = tool(name);
      button.addEventListener("click", () => act(this.viewer));
      return button;
    };
    const toggle = (name, act) => {
      const button = tool(name);
      setPressed(button, false);
      button.addEventListener("click", () => act(setPressed(button, button.getAttribute("aria-pressed") !== "true")));
      return button;
    };
    this.rotate = toggle("rotate", (on) => (this.viewer.turning = on));
    this.grid = toggle("grid", (on) => this.#showGrid(on));
    this.photo = toggle("photo", (on) => (on ? this.viewer.enterPhotoCamera() : this.viewer.reset()));
    this.film = tool("film");
    this.film.addEventListener("click", () => this.#record());
    this.fullscreen = toggle("fullscreen", (on) => this.#fill(on));
    document.addEventListener("fullscreenchange", () => setPressed(this.fullscreen, document.fullscreenElement !== null));
    this.status = make("p", { id: "view-status", className: "view-status" });
    this.status.setAttribute("role", "status");
    this.measures = make("p", { id: "measures", className: "measures", hidden: true });
    this.stage.append(this.measures, this.status);
    this.nodes = make("ul", { id: "nodes", className: "nodes", hidden: true });
    this.nodes.setAttribute("aria-label", text("viewer.objects"));
    byId("view-tools").append(
      make("span", { className: "tool-group" }, this.look, background),
      make("span", { className: "tool-group" }, press("reset", (viewer) => viewer.reset()), press("plus", (viewer) => viewer.zoom(1)), press("minus", (viewer) => viewer.zoom(-1)), this.rotate),
      make("span", { className: "tool-group" }, this.grid, this.photo, press("camera", () => this.#takePicture()), this.film, this.fullscreen),
    );
    byId("view-tools").after(this.nodes);
    byId("model-canvas").addEventListener("keydown", (event) => {
      const act = KEYS[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey || !this.viewer) return;
      event.preventDefault();
      act(this.viewer);
    });
  }

  /** Work on a viewer that has just loaded a model. name: of the model, for files. */
  use(viewer, name) {
    this.viewer = viewer;
    this.name = name;
    this.recording?.abort();
    viewer.onPhotoCamera = (on) => setPressed(this.photo, on);
    this.look.value = "lit";
    viewer.turning = false;
    setPressed(this.rotate, false);
    this.#showGrid(setPressed(this.grid, viewer.sized));
    this.photo.hidden = viewer.photoCamera === null;
    setPressed(this.photo, false);
    this.look.querySelector("[value=texture]").hidden = viewer.texture === null;
    this.measures.hidden = !viewer.sized;
    this.#showTexture();
    this.#listObjects();
    this.status.textContent = "";
  }

  /** Hide or show the tools; they are hidden while no model can be seen. */
  set usable(on) {
    byId("view-tools").disabled = !on;
    byId("view-tools").hidden = !on;
    this.nodes.hidden = !on || this.nodes.childElementCount === 0;
  }

  #showLook() {
    const flat = this.look.value === "texture";
    if (!flat) this.viewer.look = this.look.value;
    this.showPart(byId(flat ? "texture-canvas" : "model-canvas"));
  }

  #showGrid(on) {
    this.viewer.gridShown = on;
    if (!this.viewer.sized) return;
    const [width, height, depth] = this.viewer.size.map(sizeText);
    const cell = sizeText(this.viewer.ground.cell);
    this.measures.textContent = text(on ? "viewer.size_and_grid" : "viewer.size", { width, height, depth, cell });
  }

  #showTexture() {
    const image = this.viewer.texture;
    if (!image) return;
    const canvas = byId("texture-canvas");
    Object.assign(canvas, { width: image.width, height: image.height });
    canvas.getContext("2d").drawImage(image, 0, 0);
  }

  #listObjects() {
    const { viewer } = this;
    this.nodes.replaceChildren(...viewer.objects.map((object, index) => {
      const name = object.userData.name ?? object.name;
      const shown = make("input", { type: "checkbox", checked: true });
      shown.setAttribute("aria-label", text("viewer.object.show", { name }));
      shown.addEventListener("change", () => viewer.showObject(index, shown.checked));
      const mark = make("button", { type: "button", className: "quiet", textContent: name });
      setPressed(mark, false);
      mark.addEventListener("click", () => {
        const on = mark.getAttribute("aria-pressed") !== "true";
        for (const other of this.nodes.querySelectorAll("[aria-pressed]")) setPressed(other, false);
        setPressed(mark, on);
        viewer.markObject(on ? index : null);
      });
      const frame = tool("frame", text("viewer.object.frame", { name }));
      frame.removeAttribute("id");
      frame.addEventListener("click", () => viewer.frameObject(index));
      return make("li", {}, make("label", { className: "check" }, shown), mark, frame);
    }));
  }

  /** The colour behind the model; null where it is the page's. */
  get #backdrop() {
    const { background } = this.stage.dataset;
    return background === "page" ? null : getComputedStyle(this.stage).backgroundColor;
  }

  async #takePicture() {
    const { picture } = await import("./record.js");
    save(await picture(this.viewer, this.#backdrop), `${this.name}.png`);
    this.status.textContent = text("viewer.picture_saved");
  }

  async #record() {
    if (this.recording) {
      this.recording.abort();
      return;
    }
    const { filmType, turntable } = await import("./record.js");
    if (!filmType()) {
      this.status.textContent = text("viewer.no_film");
      return;
    }
    this.recording = new AbortController();
    const { signal } = this.recording;
    this.viewer.turning = false;
    setPressed(this.rotate, false);
    setPressed(this.film, true);
    const backdrop = getComputedStyle(this.stage).backgroundColor; // a film has no transparency
    const film = await turntable(this.viewer, backdrop, (share) => (this.status.textContent = text("viewer.filming", { share: Math.round(100 * share) })), signal);
    if (!signal.aborted) save(film, `${this.name}.${film.type.startsWith("video/mp4") ? "mp4" : "webm"}`);
    this.status.textContent = signal.aborted ? "" : text("viewer.film_saved");
    this.recording = null;
    setPressed(this.film, false);
  }

  /** Fill the screen with the viewer. Where the browser cannot (iPhones), it fills the window. */
  async #fill(on) {
    const viewer = this.stage.closest("section");
    if (document.fullscreenEnabled) {
      await (on ? viewer.requestFullscreen() : document.exitFullscreen());
    } else viewer.classList.toggle("fills-window", on);
  }
}

/** Show that a button is pressed, or not; return `on`. */
function setPressed(button, on) {
  button.setAttribute("aria-pressed", String(on));
  return on;
}

const IDS = { camera: "screenshot", film: "turntable", fullscreen: "fullscreen", grid: "grid", minus: "zoom-out", photo: "photo-camera", plus: "zoom-in", reset: "reset-view", rotate: "rotate" };

/** Return a button with an icon. label: what it does, where it is not the tool's own text. */
function tool(name, label = text(`viewer.tool.${name}`)) {
  const button = make("button", { type: "button", className: "tool", id: IDS[name] ?? "", title: label }, icon(name));
  button.setAttribute("aria-label", label);
  return button;
}

function choice(id, label, entries) {
  const select = make("select", { id }, ...entries.map(([value, words]) => make("option", { value, textContent: words })));
  select.setAttribute("aria-label", label);
  return select;
}
