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

  /** Open a sample. sample: {file, title}, as in samples.json. */
  async show({ file, title }) {
    const sample = described({ file, title });
    this.shown = sample;
    Object.assign(byId("sample-photo"), { src: sample.photo, alt: sample.name });
    byId("sample-title").textContent = text("photo.sample.shown", { name: sample.name });
    showPart("sample");
    byId("sample-make").focus({ preventScroll: true });
    const glb = await (await fetch(sample.model)).arrayBuffer();
    if (this.shown === sample) this.open(glb);
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

  #button(sample) {
    const { key, name, photo } = described(sample);
    return make("button", { type: "button", id: `sample-${key}`, onclick: () => this.show(sample) }, make("img", { src: photo, alt: name }));
  }

  async #makeShown() {
    const { file, photo } = this.shown;
    const content = await (await fetch(photo)).blob();
    this.makeOwn(new File([content], file, { type: content.type }));
  }
}

/** Return a sample with its name in the page's language, and where its photo and its model are. */
function described({ file, title }) {
  const key = file.split(".")[0];
  return { key, file, title, name: textOr(`photo.sample.${key}`, title), photo: `${FOLDER}/${file}`, model: `${FOLDER}/${key}.glb` };
}
