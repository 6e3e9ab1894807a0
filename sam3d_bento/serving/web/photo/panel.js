// The panel of the photo shows one of four parts: where photos come in, an open sample, the photo that is edited, a batch.

import { byId, showOnly } from "../common/dom.js";
import { text } from "../common/texts.js";

const PARTS = ["intake", "sample", "editor", "batch"];

let home = "intake"; // the part to which the others lead back: intake or batch

export function showPart(name) {
  showOnly(byId(name), PARTS.map(byId));
  const button = byId("other-photo");
  button.hidden = name === "intake" || name === "sample";
  if (name === "batch") button.textContent = text("batch.close");
  else button.textContent = text(home === "batch" ? "batch.back" : "photo.other");
}

/** Show the batch where there is one, else where photos come in. */
export const showHome = () => showPart(home);

export function setHome(name) {
  home = name;
}
