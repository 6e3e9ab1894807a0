// Accept a photo that is dropped, pasted or picked, or the sample.

import { byId } from "./dom.js";

const SAMPLE = "studio/sample/coffee.jpg";

/** Call `take(file)` for each photo that comes in. */
export function listenForPhotos(take) {
  const picker = byId("photo-file");
  picker.addEventListener("change", () => {
    if (picker.files.length) take(picker.files[0]);
    picker.value = ""; // so that the same file can be chosen again
  });
  byId("sample").addEventListener("click", async () => {
    const photo = await (await fetch(SAMPLE)).blob();
    take(new File([photo], "coffee.jpg", { type: photo.type }));
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take(event.clipboardData.files[0]);
  });
  listenForDrops(take);
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
