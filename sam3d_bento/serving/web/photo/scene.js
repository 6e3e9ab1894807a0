// The objects that are cut out of one photo, each with a colour and a name; several of them become a scene.

import { byId, make } from "../common/dom.js";
import { percent } from "../common/format.js";
import { Mask } from "./mask.js";
import { text } from "../common/texts.js";

const FIRST_HUE = 165; // degrees; the outline of a single object
const NEXT_HUE = 137.5; // degrees between neighbours: the golden angle keeps any number of hues apart
const SATURATION = 0.9;
const LIGHTNESS = 0.62;
const LONGEST_NAME = 80; // characters; the service cuts longer names

/** One object of the photo. choice: what is known of its mask, as photo.js has it; null before anything is chosen. */
class PhotoObject {
  constructor(number, mask, choice) {
    this.number = number;
    this.name = usualName(number);
    this.colour = colour(number - 1);
    this.mask = mask;
    this.choice = choice;
    this.progress = null; // {state, fraction} while the scene is made
    this.row = null; // its element in the list, once it has one
  }
}

export class Scene {
  /** act: {activated(), addObject(), removeObject(object)}, called when the user asks for it. */
  constructor(act) {
    this.act = act;
    this.list = byId("objects");
    byId("add-object").addEventListener("click", () => act.addObject());
    this.clear();
  }

  clear() {
    this.objects = [];
    this.active = null;
    this.count = 0; // of objects that there have been, so that a new one gets another number
    this.#render();
  }

  /** Return the objects, for `restore`. A name that nobody has changed is null: it depends on the language. */
  kept() {
    const objects = this.objects.map(({ number, name, mask, choice }) => ({ number, name: name === usualName(number) ? null : name, mask, choice }));
    return { objects, active: this.objects.indexOf(this.active), count: this.count };
  }

  restore({ objects, active, count }) {
    this.count = count;
    this.objects = objects.map(({ number, name, mask, choice }) => {
      const object = new PhotoObject(number, Mask.from(mask), choice);
      object.name = name ?? object.name;
      return object;
    });
    this.activate(this.objects[active]);
  }

  /** Add an object and make it the one that is edited; return it. */
  add(mask, choice) {
    this.count += 1;
    const object = new PhotoObject(this.count, mask, choice);
    this.insert(object, this.objects.length);
    return object;
  }

  insert(object, index) {
    this.objects.splice(index, 0, object);
    this.activate(object);
  }

  /** Remove an object; return where it was. */
  remove(object) {
    const index = this.objects.indexOf(object);
    this.objects.splice(index, 1);
    this.activate(this.objects[Math.min(index, this.objects.length - 1)]);
    return index;
  }

  activate(object) {
    this.active = object;
    this.#render();
  }

  /** Objects of which something is chosen. */
  get filled() {
    return this.objects.filter(({ mask }) => !mask.isEmpty);
  }

  /** Return another object than the active one that has a pixel at this point. */
  otherAt(point) {
    return this.objects.find((object) => object !== this.active && object.mask.has(point));
  }

  /** Show how far each object is. progress: {state, fraction} of each filled object, in order; [] for none. */
  showProgress(progress) {
    const filled = this.filled;
    for (const object of this.objects) object.progress = progress[filled.indexOf(object)] ?? null;
    this.refresh();
  }

  /** Show the figures of the objects after their masks have changed. */
  refresh() {
    byId("add-object").disabled = this.active === null || this.active.mask.isEmpty;
    for (const object of this.objects) if (object.row) showState(object);
  }

  /** Show the rows. A row that stays keeps its element, so that the focus in it stays too. */
  #render() {
    const several = this.objects.length > 1;
    byId("objects-title").hidden = this.list.hidden = !several;
    const rows = several ? this.objects.map((object) => (object.row ??= this.#row(object))) : [];
    const isSame = rows.length === this.list.children.length && rows.every((row, index) => row === this.list.children[index]);
    if (!isSame) this.list.replaceChildren(...rows);
    for (const [index, row] of rows.entries()) {
      const isActive = this.objects[index] === this.active;
      row.dataset.active = String(isActive);
      row.querySelector(".object-pick").setAttribute("aria-pressed", String(isActive));
    }
    this.refresh();
  }

  #row(object) {
    const swatch = make("span", { className: "swatch" });
    swatch.style.background = `rgb(${object.colour.join(" ")})`;
    const pick = make("button", { type: "button", className: "object-pick", onclick: () => this.#pick(object) }, swatch);
    const remove = make("button", { type: "button", className: "icon", textContent: "×", onclick: () => this.act.removeObject(object) });
    const label = () => {
      pick.setAttribute("aria-label", text("scene.edit", { name: object.name }));
      remove.setAttribute("aria-label", text("scene.remove", { name: object.name }));
    };
    label();
    const name = make("input", { type: "text", className: "object-name", value: object.name, maxLength: LONGEST_NAME, autocomplete: "off", spellcheck: false });
    name.setAttribute("aria-label", text("scene.name"));
    name.addEventListener("focus", () => this.#pick(object));
    name.addEventListener("input", () => {
      object.name = name.value;
      label();
    });
    return make("li", {}, pick, name, make("span", { className: "object-state small" }), remove);
  }

  #pick(object) {
    if (object === this.active) return;
    this.activate(object);
    this.act.activated();
  }
}

const usualName = (number) => text("scene.object", { number });

/** Show how far an object is, or how much of the photo it covers. */
function showState({ row, mask, progress }) {
  const state = row.querySelector(".object-state");
  if (progress) state.textContent = text(`scene.state.${progress.state}`, { percent: Math.round(100 * (progress.fraction ?? 0)) });
  else state.textContent = mask.isEmpty ? text("scene.state.empty") : percent(mask.coverage);
}

/** Return the colour of an object as [r, g, b] of 255. The formula is that of HSL in CSS Color 4. */
function colour(index) {
  const hue = FIRST_HUE + NEXT_HUE * index;
  const reach = SATURATION * Math.min(LIGHTNESS, 1 - LIGHTNESS);
  return [0, 8, 4].map((channel) => {
    const place = (channel + hue / 30) % 12;
    return Math.round(255 * (LIGHTNESS - reach * Math.max(-1, Math.min(place - 3, 9 - place, 1))));
  });
}
