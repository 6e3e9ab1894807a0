// Pictures and films of the model, made in the browser.

const TURN_SECONDS = 6; // of a whole turn
const FRAMES_A_SECOND = 30;
const BITS_A_SECOND = 8_000_000; // about as much as a good film of this size needs
const FILM_TYPES = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/mp4"];

/** Return the type of the films that this browser records; undefined if it records none. */
export function filmType() {
  if (!globalThis.MediaRecorder || !HTMLCanvasElement.prototype.captureStream) return undefined;
  return FILM_TYPES.find((type) => MediaRecorder.isTypeSupported(type));
}

/** Return a PNG of what the viewer shows. backdrop: a colour of CSS; null for a transparent picture. */
export function picture(viewer, backdrop) {
  return withBackdrop(viewer, backdrop, () => {
    viewer.drawNow();
    return new Promise((made) => viewer.canvas.toBlob(made, "image/png"));
  });
}

/** Record one turn about the vertical; return the film. progressed(share): called with the share that is done. */
export function turntable(viewer, backdrop, progressed, signal) {
  return withBackdrop(viewer, backdrop, async () => {
    const stream = viewer.canvas.captureStream(FRAMES_A_SECOND);
    const recorder = new MediaRecorder(stream, { mimeType: filmType(), videoBitsPerSecond: BITS_A_SECOND });
    const pieces = [];
    recorder.addEventListener("dataavailable", ({ data }) => pieces.push(data));
    const stopped = new Promise((resolve) => recorder.addEventListener("stop", resolve, { once: true }));
    const begin = viewer.angle;
    recorder.start();
    await new Promise((turned) => {
      let first = null;
      const step = (now) => {
        first ??= now;
        const share = Math.min(1, (now - first) / (1000 * TURN_SECONDS));
        viewer.turnTo(begin + 2 * Math.PI * share);
        progressed(share);
        if (share < 1 && !signal.aborted) requestAnimationFrame(step);
        else turned();
      };
      requestAnimationFrame(step);
    });
    recorder.stop();
    await stopped;
    for (const track of stream.getTracks()) track.stop();
    return new Blob(pieces, { type: recorder.mimeType });
  });
}

async function withBackdrop(viewer, backdrop, make) {
  viewer.backdrop = backdrop;
  try {
    return await make();
  } finally {
    viewer.backdrop = null;
    viewer.draw();
  }
}
