// Compare the photo with the model, which is seen from the photo's camera, by a slider over both.

import { byId, make } from "../common/dom.js";
import { text } from "../common/texts.js";

export class Comparison {
  constructor(viewer) {
    this.viewer = viewer;
    this.stage = byId("stage");
    this.button = byId("compare");
    this.picture = make("img", { className: "compare-photo", alt: "", hidden: true });
    this.slider = make("input", { id: "compare-slider", className: "compare-slider", type: "range", min: 0, max: 100, value: 50, hidden: true });
    this.slider.setAttribute("aria-label", text("result.compare.slider"));
    this.slider.addEventListener("input", () => this.#divide());
    this.stage.append(this.picture, this.slider);
    this.button.addEventListener("click", () => (this.picture.hidden ? this.viewer.enterPhotoCamera() : this.viewer.reset()));
    new ResizeObserver(() => this.#place()).observe(this.stage);
  }

  /** Show the photo (Blob) beside the model; nothing if it is null. */
  async show(photo) {
    if (!photo) return;
    const address = URL.createObjectURL(photo);
    Object.assign(byId("photo-picture"), { src: address, alt: text("result.photo") });
    byId("photo").hidden = false;
    if (!this.viewer.photoCamera) return;
    this.picture.src = address;
    this.button.hidden = false;
    const told = this.viewer.onPhotoCamera; // the tools also want to know
    this.viewer.onPhotoCamera = (on) => {
      told(on);
      this.#compare(on);
    };
  }

  #compare(on) {
    this.picture.hidden = this.slider.hidden = !on;
    this.button.setAttribute("aria-pressed", String(on));
    this.stage.classList.toggle("comparing", on);
    if (!on) return;
    this.#place();
    this.slider.focus({ preventScroll: true });
  }

  /** Lay the photo where its camera sees it. */
  #place() {
    if (this.picture.hidden) return;
    for (const [side, value] of Object.entries(this.viewer.photoFrame())) {
      this.picture.style[side] = `${value}px`;
      if (side !== "height" && side !== "top") this.slider.style[side] = `${value}px`;
    }
    this.#divide();
  }

  #divide() {
    this.picture.style.clipPath = `inset(0 ${100 - this.slider.value}% 0 0)`;
    this.stage.style.setProperty("--divide", `${this.slider.value}%`);
  }
}
