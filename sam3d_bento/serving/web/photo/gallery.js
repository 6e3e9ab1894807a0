// The sample photos with their finished models, which open without a run.

import { byId, make } from "../common/dom.js";
import { showHome, showPart } from "./panel.js";
import { text, textOr } from "../common/texts.js";

const FOLDER = "studio/samples";

export class Gallery {
  /**
   * open(glb): called to show a finished model, an ArrayBuffer.
   * makeOwn(file): called to make the model of a sample's photo anew.
   */
  constructor({ open, makeOwn }) {
    Object.assign(this, { open, makeOwn, shown: null });
    byId("sample-make").addEventListener("click", () => this.#makeShown());
    byId("sample-close").addEventListener("click", () => {
      this.close();
      showHome();
    });
    this.#offer();
  }

  /** Forget the sample that is open: its model is not shown if it arrives after this. */
  close() {
    this.shown = null;
  }

  /** Show a button with its picture for each sample; the page works without them. */
  async #offer() {
    let samples;
    try {
      samples = await (await fetch(`${FOLDER}/samples.json`)).json();
    } catch {
      byId("samples-title").hidden = byId("samples").hidden = true;
      return;
    }
    byId("samples").replaceChildren(...samples.map((sample) => make("li", {}, this.#button(sample))));
  }

  #button({ file, title }) {
    const name = file.split(".")[0];
    const sample = { file, name: textOr(`photo.sample.${name}`, title), photo: `${FOLDER}/${file}`, model: `${FOLDER}/${name}.glb` };
    const picture = make("img", { src: sample.photo, alt: sample.name });
    return make("button", { type: "button", id: `sample-${name}`, onclick: () => this.#show(sample) }, picture);
  }

  async #show(sample) {
    this.shown = sample;
    Object.assign(byId("sample-photo"), { src: sample.photo, alt: sample.name });
    byId("sample-title").textContent = text("photo.sample.shown", { name: sample.name });
    showPart("sample");
    byId("sample-make").focus({ preventScroll: true });
    const glb = await (await fetch(sample.model)).arrayBuffer();
    if (this.shown === sample) this.open(glb);
  }

  async #makeShown() {
    const { file, photo } = this.shown;
    const content = await (await fetch(photo)).blob();
    this.makeOwn(new File([content], file, { type: content.type }));
  }
}
