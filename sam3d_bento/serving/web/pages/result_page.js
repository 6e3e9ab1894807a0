// The page of a result: /m/{id}. Whoever knows the id sees the model; the photo is only in the browser that sent it.

import * as api from "../common/api.js";
import { Comparison } from "../result/compare.js";
import { Display } from "../viewer/display.js";
import { byId } from "../common/dom.js";
import { showDownloads } from "../result/downloads.js";
import { showLife } from "../result/keep.js";
import { photoOf } from "../storage/photos.js";
import { offerPreferences } from "../common/preferences.js";
import { offerReport, showFacts, showUsedOptions, showWarnings } from "../result/facts.js";
import { showSharing } from "../result/share.js";
import { text } from "../common/texts.js";

const id = location.pathname.split("/").pop();
const display = new Display();

async function open() {
  let result;
  try {
    result = await api.describe(id);
  } catch (problem) {
    if (problem.code === "not_found") showGone();
    else display.showProblem(problem, [[text("problem.try_again"), () => location.reload()]]);
    return;
  }
  document.title = text("result.title_of", { name: result.name });
  byId("name").textContent = result.name;
  byId("about").hidden = false;
  showLife(result, showGone);
  showSharing(result);
  let report = null; // what the file says of itself
  try {
    report = await display.show(await api.asset(id));
  } catch (problem) {
    display.showProblem(problem);
  }
  showDownloads(result, report ?? {});
  if (!report) return;
  showFacts(report, result.files.glb.bytes);
  showUsedOptions(report.options ?? {});
  offerReport(report, result.name);
  showWarnings(report.warnings ?? []);
  new Comparison(display.viewer).show(await photoOf(id));
}

function showGone() {
  byId("result").hidden = true;
  byId("gone").hidden = false;
  document.title = text("result.gone");
}

offerPreferences();
open();
