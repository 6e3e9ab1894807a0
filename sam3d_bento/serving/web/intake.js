// Accept a photo that is dropped, pasted or picked, or one of the samples.

import { byId } from "./dom.js";
import { textOr } from "./texts.js";

const SAMPLES = "studio/samples";
const HEIC = [".heic", ".heif"];

/** Call `take(file)` for each photo that comes in. */
export function listenForPhotos(take) {
  const picker = byId("photo-file");
  picker.addEventListener("change", () => {
    if (picker.files.length) take(picker.files[0]);
    picker.value = ""; // so that the same file can be chosen again
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take(event.clipboardData.files[0]);
  });
  listenForDrops(take);
  offerSamples(take);
}

/** Ask for HEIC files only where the service reads them: an iPhone that is not asked sends a JPEG instead. */
export function acceptHeic(isRead) {
  const picker = byId("photo-file");
  const others = picker.accept.split(",").filter((kind) => !HEIC.includes(kind));
  picker.accept = (isRead ? [...others, ...HEIC] : others).join(",");
}

/** Show a button with its picture for each sample photo; the page works without them. */
async function offerSamples(take) {
  let samples;
  try {
    samples = await (await fetch(`${SAMPLES}/samples.json`)).json();
  } catch {
    byId("samples-title").hidden = byId("samples").hidden = true;
    return;
  }
  byId("samples").replaceChildren(...samples.map((sample) => sampleButton(sample, take)));
}

function sampleButton({ file, title }, take) {
  const name = file.split(".")[0];
  const picture = document.createElement("img");
  picture.src = `${SAMPLES}/${file}`;
  picture.alt = textOr(`sample.${name}`, title);
  const button = document.createElement("button");
  button.type = "button";
  button.id = `sample-${name}`;
  button.append(picture);
  button.addEventListener("click", async () => {
    const photo = await (await fetch(picture.src)).blob();
    take(new File([photo], file, { type: photo.type }));
  });
  const item = document.createElement("li");
  item.append(button);
  return item;
}

/** Accept drops on the whole page. Otherwise the browser would open a file that misses the frame. */
function listenForDrops(take) {
  const frame = byId("intake");
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    frame.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) frame.classList.remove("over"); // left the window, not just an element
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    frame.classList.remove("over");
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
}
