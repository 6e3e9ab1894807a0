// The studio's main program: connects photo, options, job, display and results.

import * as api from "../common/api.js";
import { Batch } from "../run/batch.js";
import { announce, byId, make, notify } from "../common/dom.js";
import { Gallery } from "../photo/gallery.js";
import { acceptHeic, isPhoto, listenForPhotos } from "../photo/intake.js";
import { Depth } from "../photo/depth.js";
import { Job } from "../run/job.js";
import { Display } from "../viewer/display.js";
import { chosenOptions, resetOptions, showFormatOptions, showOptions } from "../run/options_form.js";
import { Photo } from "../photo/photo.js";
import { showWaiting } from "../common/problem_box.js";
import { showPause, showProgress } from "../run/progress.js";
import { forget, forgetExpired, remember, showRecent, watchTime } from "../result/recent.js";
import { showDownloads } from "../result/downloads.js";
import { showFacts, showWarnings } from "../result/facts.js";
import { watchService } from "../common/service_state.js";
import { megabytes } from "../common/format.js";
import { offerNextSteps } from "../run/next_steps.js";
import { offerPreferences } from "../common/preferences.js";
import { keepDraft, takeDraft } from "../storage/draft.js";
import { text } from "../common/texts.js";

let catalogue = null; // response of /api/options
let usable = false; // whether there is a photo with a mask
let job = null; // the running job
let shownId = null; // id of the displayed result
let shown = null; // the displayed result: {result, report}, as of `api.describe` and as the service reported it
let isSample = false; // whether the display has the model of a sample
let made = null; // the report and the photo of the result that this page has made last
let describedEngine = null; // name of the engine whose options are shown; null while none is known

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
      remember(report, catalogue?.limits.output_ttl_seconds);
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
  byId("other-photo").disabled = isBatch() && batch.isBusy; // nothing that runs is lost by one click
  const isShown = made !== null && made.report.id === shownId && made.photo === photo.file;
  offerNextSteps(isShown && !byId("make").disabled ? made.report : null, begin);
}

async function loadCatalogue() {
  try {
    catalogue = await api.options();
  } catch {
    return; // the status line says that the service does not answer; this is called again when it does
  }
  const { engine } = catalogue; // null while it loads
  if (!byId("options").childElementCount || describedEngine !== (engine?.name ?? null)) {
    describedEngine = engine?.name ?? null;
    showOptions(catalogue.options, catalogue.presets, engine?.facts.ignores ?? []);
    showFormatOptions(catalogue.export.formats);
  }
  byId("photo-limits").textContent = text("photo.formats_up_to", { size: megabytes(catalogue.limits.max_upload_bytes) });
  const heic = catalogue.formats?.includes("HEIC") ?? false; // null while the engine loads; it is asked again then
  acceptHeic(heic);
  if (catalogue.formats && !heic) byId("photo-limits").append(`. ${text("photo.no_heic")}`);
  offerDownloads();
}

function offerDownloads() {
  byId("format-options-box").hidden = !shown || !byId("format-options").childElementCount;
  if (shown) {
    const page = make("a", { id: "open-page", className: "button", href: api.pageUrl(shownId), textContent: text("result.open_page") });
    showDownloads(shown.result, shown.report, catalogue?.export?.formats, page);
  } else showDownloads(null);
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
    made = { report, photo: job.photo };
    ended();
    remember(report, catalogue?.limits.output_ttl_seconds);
    showRecent(open);
    await open(report);
    announce(text("progress.ready"));
  },
  failed: (problem) => {
    ended();
    display.showProblem(problem, usable ? [[text("problem.try_again"), () => begin()]] : []);
    refresh();
  },
  cancelled: () => {
    ended();
    display.showLast();
    byId("model-empty-title").textContent = text("progress.cancelled");
    notify(text("progress.cancelled"));
    refresh();
    takeFocus(byId("make"));
  },
};

function ended() {
  job = null;
  photo.showProgress([]);
}

/** changes: other values for some options, in this run alone; "" leaves a value to the service. */
async function begin(changes = {}) {
  if (isBatch()) {
    batch.start(chosenOptions());
    return;
  }
  if (!usable || job) return;
  job = new Job(events);
  refresh();
  byId("model-empty-title").textContent = text("viewer.empty"); // an earlier run was cancelled
  display.showProgress();
  showPause(text("progress.sending"));
  takeFocus(byId("cancel"));
  showStage();
  const options = { ...photo.fitting(chosenOptions()), ...depth.chosen(), ...changes };
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== ""));
  job.submit({ ...(await photo.fields()), ...given });
}

/**
 * Move the focus off an element that was hidden or disabled, but never away from an element that is in use. Return whether
 * it moved.
 */
function takeFocus(element) {
  const { activeElement } = document;
  const isFree = activeElement === document.body || activeElement.closest("#stage, #make, #downloads, #next-steps, #recent") !== null;
  if (isFree) element.focus({ preventScroll: true });
  return isFree;
}

const showStage = () => byId("stage").scrollIntoView({ block: "nearest" });

// --- result ----------------------------------------------------------------------------------------------------------

async function open(report) {
  const { id } = report;
  shownId = id;
  isSample = false;
  offerDownloads();
  showFacts(report);
  showWarnings(report.warnings);
  try {
    shown = { result: await api.describe(id), report };
    offerDownloads();
    await display.show(await api.asset(id));
    if (takeFocus(byId("model-canvas"))) showStage();
  } catch (error) {
    if (error.code === "not_found") {
      shownId = shown = null;
      offerDownloads();
      forget(id);
      showRecent(open);
    }
    display.showProblem(error);
  }
}

/** Show the finished model of a sample, which is no result of this service. */
async function showSample(glb) {
  shownId = shown = null;
  isSample = true;
  offerDownloads();
  showWarnings([]);
  byId("facts").hidden = byId("times").hidden = true;
  await display.show(glb);
  showStage();
}

// --- photos ----------------------------------------------------------------------------------------------------------

/** Take files that came in together: a photo, several for a batch, depth, or depth with its photo. */
function receive(files) {
  gallery.close();
  if (isSample && !job) display.clear(); // a photo of one's own has no model yet
  isSample = false;
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

// --- the page in another language ------------------------------------------------------------------------------------

/** Return what is chosen and shown, for `restore`. */
const draft = () => ({
  photo: photo.kept(),
  depth: depth.kept(),
  isAdvanced: byId("advanced").open,
  sample: isSample ? gallery.shown : null,
  report: shown?.report ?? null,
  made,
  photoOfJob: job?.photo ?? null,
});

/** Bring back what was chosen and shown before the language was switched. */
async function restore() {
  await batch.restore();
  const kept = await takeDraft();
  if (!kept || photo.file) return;
  byId("advanced").open = kept.isAdvanced;
  depth.restore(kept.depth);
  made ??= kept.made;
  if (job) job.photo = kept.photoOfJob;
  if (kept.photo) photo.restore(kept.photo);
  if (kept.sample) gallery.show(kept.sample);
  else if (kept.report && !job) open(kept.report);
  byId("language").focus({ preventScroll: true }); // where the visitor was
}

// --- start of the page -----------------------------------------------------------------------------------------------

listenForPhotos(receive);
byId("other-photo").addEventListener("click", () => {
  depth.clear();
  byId("advanced").open = false;
  if (isBatch()) batch.clear();
  photo.clear();
});
byId("order").addEventListener("submit", (event) => {
  event.preventDefault();
  begin();
});
byId("order").addEventListener("invalid", () => (byId("advanced").open = true), { capture: true }); // a wrong value is seen
byId("options-reset").addEventListener("click", resetOptions);
byId("cancel").addEventListener("click", () => job.cancel());

offerPreferences(() => keepDraft(draft()));
offerDownloads();
showRecent(open);
watchService(loadCatalogue);
loadCatalogue();
const showWhatIsLeft = () => forgetExpired().then(() => showRecent(open));
showWhatIsLeft();
watchTime(showWhatIsLeft);

const runningId = Job.remembered();
if (runningId) {
  job = new Job(events);
  display.showProgress();
  showPause(text("progress.looking_up"));
  job.follow(runningId);
}
restore();
refresh();
