// The studio's main program: connects photo, options, job, display and results.

import * as api from "./api.js";
import { Batch } from "./batch.js";
import { announce, byId } from "./dom.js";
import { Gallery } from "./gallery.js";
import { acceptHeic, isPhoto, listenForPhotos } from "./intake.js";
import { Depth } from "./depth.js";
import { Job } from "./job.js";
import { Display } from "./display.js";
import { chosenOptions, leaveToService, showFormatOptions, showOptions } from "./options_form.js";
import { Photo } from "./photo.js";
import { showWaiting } from "./problem_box.js";
import { showPause, showProgress } from "./progress.js";
import { forget, forgetExpired, remember, showRecent } from "./recent.js";
import { showDownloads, showFacts, showWarnings } from "./result.js";
import { watchService } from "./service_state.js";
import { megabytes } from "./format.js";
import { offerPreferences } from "./preferences.js";
import { text } from "./texts.js";

let catalogue = null; // response of /api/options
let usable = false; // whether there is a photo with a mask
let job = null; // the running job
let shownId = null; // id of the displayed result
let seeded = false; // whether another seed gives the displayed result's engine another result

const display = new Display();
const photo = new Photo(
  (now) => {
    usable = now;
    refresh();
  },
  () => catalogue,
);

const depth = new Depth(() => catalogue);

const batch = new Batch(
  {
    changed: () => refresh(),
    finished: (report) => {
      remember(report);
      showRecent(open);
    },
    open: (report) => open(report),
    edit: (file) => photo.take(file),
  },
  () => catalogue,
);

const gallery = new Gallery({ open: showSample, makeOwn: (file) => receive([file]) });

/** Return whether the batch is what would be made. A photo that is edited comes first. */
const isBatch = () => batch.isOpen && !photo.file;

function refresh() {
  byId("make").disabled = isBatch() ? !batch.ready : !usable || job !== null;
  byId("make").textContent = isBatch() && batch.ready ? text("batch.make", { count: batch.ready }) : text("order.make");
  byId("again").disabled = byId("make").disabled || shownId === null;
}

async function loadCatalogue() {
  try {
    catalogue = await api.options();
  } catch {
    return; // the status line says that the service does not answer; this is called again when it does
  }
  if (!byId("options").childElementCount) {
    showOptions(catalogue.options, catalogue.presets);
    showFormatOptions(catalogue.export.formats);
  }
  byId("photo-limits").textContent = text("photo.formats_up_to", { size: megabytes(catalogue.limits.max_upload_bytes) });
  const heic = catalogue.formats?.includes("HEIC") ?? false; // null while the engine loads; it is asked again then
  acceptHeic(heic);
  if (catalogue.formats && !heic) byId("photo-limits").append(`. ${text("photo.no_heic")}`);
  offerDownloads();
}

function offerDownloads() {
  showDownloads(shownId, catalogue?.export?.formats ?? {}, seeded);
  byId("again").addEventListener("click", () => {
    leaveToService("seed");
    begin();
  });
  refresh();
}

// --- job -------------------------------------------------------------------------------------------------------------

const events = {
  waiting: (problem, seconds) => display.showWaiting(problem, seconds, () => job.cancel()),
  progress: (state) => {
    display.showProgress();
    showProgress(state);
    photo.showProgress(state.objects);
  },
  interrupted: () => showPause(text("progress.interrupted")),
  done: async ({ report }) => {
    ended();
    remember(report);
    showRecent(open);
    await open(report);
    announce(text("progress.ready"));
  },
  failed: (problem) => {
    ended();
    display.showProblem(problem, usable ? [[text("problem.try_again"), begin]] : []);
    refresh();
  },
  cancelled: () => {
    ended();
    display.showLast();
    announce(text("progress.cancelled"));
    refresh();
    takeFocus(byId("make"));
  },
};

function ended() {
  job = null;
  photo.showProgress([]);
}

async function begin() {
  if (isBatch()) {
    batch.start(chosenOptions());
    return;
  }
  if (!usable || job) return;
  job = new Job(events);
  refresh();
  display.showProgress();
  showPause(text("progress.sending"));
  takeFocus(byId("cancel"));
  byId("stage").scrollIntoView({ block: "nearest" });
  job.submit({ ...(await photo.fields()), ...photo.fitting(chosenOptions()), ...depth.chosen() });
}

/** Move the focus off an element that was hidden or disabled, but never away from an element that is in use. */
function takeFocus(element) {
  const { activeElement } = document;
  if (activeElement === document.body || activeElement.closest("#stage, #make, #downloads")) element.focus({ preventScroll: true });
}

// --- result ----------------------------------------------------------------------------------------------------------

async function open(report) {
  const { id } = report;
  shownId = id;
  seeded = report.engine_facts?.seeded ?? true;
  offerDownloads();
  showFacts(report);
  showWarnings(report.warnings);
  try {
    await display.show(await api.asset(id), report);
    takeFocus(byId("model-canvas"));
  } catch (error) {
    if (error.code === "not_found") {
      shownId = null;
      offerDownloads();
      forget(id);
      showRecent(open);
    }
    display.showProblem(error);
  }
}

/** Show the finished model of a sample, which is no result of this service. */
async function showSample(glb, report) {
  shownId = null;
  offerDownloads();
  showWarnings([]);
  byId("facts").hidden = byId("times").hidden = true;
  await display.show(glb, report);
}

// --- photos ----------------------------------------------------------------------------------------------------------

/** Take files that came in together: a photo, several for a batch, depth, or depth with its photo. */
function receive(files) {
  gallery.close();
  const depthFile = files.find((file) => depth.isDepth(file));
  const others = files.filter((file) => !depth.isDepth(file));
  if (photo.file && others.length) depth.clear(); // it is the former photo's
  if (depthFile) depth.take(depthFile);
  if (others.length > 1 || (isBatch() && others.length)) {
    const photos = others.filter(isPhoto);
    photo.clear();
    batch.add(photos, others.length - photos.length);
  } else if (others.length) {
    photo.take(others[0]);
  }
}

// --- start of the page -----------------------------------------------------------------------------------------------

listenForPhotos(receive);
byId("other-photo").addEventListener("click", () => {
  depth.clear();
  if (isBatch()) batch.clear();
  photo.clear();
});
byId("order").addEventListener("submit", (event) => {
  event.preventDefault();
  begin();
});
byId("cancel").addEventListener("click", () => job.cancel());

offerPreferences();
offerDownloads();
showRecent(open);
watchService(loadCatalogue);
loadCatalogue();
forgetExpired().then(() => showRecent(open));
batch.restore();

const runningId = Job.remembered();
if (runningId) {
  job = new Job(events);
  display.showProgress();
  showPause(text("progress.looking_up"));
  job.follow(runningId);
}
refresh();
