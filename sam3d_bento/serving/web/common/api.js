// Client of the service's HTTP API. URLs are relative to this file, so that they work on every page, and behind a proxy that
// serves all below a folder. Every failure is a Problem. If the service needs a key, a request waits until the user enters one.

import { askForKey, keyHeaders } from "./key.js";
import { text, textOr } from "./texts.js";

const ROOT = new URL("../..", import.meta.url).href;

/**
 * Error with the fields of the service's problem document (RFC 9457). `title` and `message` are for the user: the texts of
 * the error's code, which say what to do in the studio, or the service's own where the studio does not know the code.
 */
export class Problem extends Error {
  /** values: for the placeholders in the texts of the page's own codes. retryAfter: seconds; null if there is none. */
  constructor({ title, detail, code, request_id }, retryAfter = null, values = {}) {
    super(textOr(`problem.${code}.text`, detail, values));
    this.title = textOr(`problem.${code}.title`, title ?? text("problem.unknown"));
    this.detail = detail; // the service's sentence; undefined for a problem that the page found
    this.code = code;
    this.requestId = request_id;
    this.retryAfter = retryAfter;
  }
}

const UNREACHABLE = "unreachable";

async function send(path, init) {
  try {
    return await fetch(path, init);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    window.dispatchEvent(new Event("unreachable")); // the status line looks again
    throw new Problem({ code: UNREACHABLE });
  }
}

async function request(path, init = {}) {
  for (;;) {
    const key = keyHeaders();
    const answer = await send(path, { ...init, headers: { ...init.headers, ...key } });
    if (answer.status === 401) {
      await askForKey(key);
    } else {
      if (!answer.ok) throw await problemOf(answer);
      return answer;
    }
  }
}

async function problemOf(answer) {
  const retryAfter = Number.parseInt(answer.headers.get("Retry-After"), 10);
  const isProblem = answer.headers.get("Content-Type")?.startsWith("application/problem+json");
  // Any other content comes from a proxy.
  const document = isProblem ? await answer.json() : { code: "foreign" };
  return new Problem(document, Number.isNaN(retryAfter) ? null : retryAfter);
}

export const options = async () => (await request(`${ROOT}api/options`)).json();

/** Return the report of /health, which is JSON with status 503 too. */
export const health = async () => (await send(`${ROOT}health`, { cache: "no-store" })).json();

/**
 * Return the mask that a run would use: {png, source, coverage, warnings, report}. fields: `image`, and perhaps `mask`, or
 * `points`, `box` and `candidate` as strings. report: as the entry `mask` of a result's report.
 */
export async function mask(fields, signal) {
  const answer = await request(`${ROOT}api/mask`, { method: "POST", body: form(fields), signal });
  const { headers } = answer;
  return {
    png: await answer.blob(),
    source: headers.get("X-Mask-Source"),
    coverage: Number(headers.get("X-Mask-Coverage")),
    warnings: headers.get("X-Warnings").split(",").filter(Boolean),
    report: JSON.parse(headers.get("X-Mask-Report")),
  };
}

/** Submit a job. fields: the files and the options. */
export const submit = async (fields, signal) => (await request(`${ROOT}api/jobs`, { method: "POST", body: form(fields), signal })).json();

export const job = async (id) => (await request(`${ROOT}api/jobs/${id}`)).json();

export const eventsUrl = (id) => `${ROOT}api/jobs/${id}/events`;

export const cancel = (id) => request(`${ROOT}api/jobs/${id}`, { method: "DELETE" });

export const remove = (id) => request(assetUrl(id), { method: "DELETE" });

export const assetUrl = (id) => `${ROOT}api/assets/${id}.glb`;

/** Return the address of the page of a result. */
export const pageUrl = (id) => `${ROOT}m/${id}`;

export const thumbnailUrl = (id) => `${ROOT}api/assets/${id}.webp`;

/** Return the GLB's bytes. With a bucket, the service redirects to another host, which may refuse this page (CORS). */
export async function asset(id) {
  try {
    const answer = await send(assetUrl(id)); // without the key, which the redirect would pass on to that host
    if (!answer.ok) throw await problemOf(answer);
    return await answer.arrayBuffer();
  } catch (error) {
    throw error.code === UNREACHABLE ? new Problem({ code: "unreadable" }) : error;
  }
}

/** Return what there is of a result, and until when: the JSON of /api/assets/{id}. It needs no key. */
export async function describe(id) {
  const answer = await send(`${ROOT}api/assets/${id}`, { cache: "no-store" });
  if (!answer.ok) throw await problemOf(answer);
  return answer.json();
}

/** Keep a result, so that it does not expire, or end that. Return what there is of it. */
export async function keep(id, on) {
  const answer = await request(`${ROOT}api/assets/${id}/keep`, { method: on ? "POST" : "DELETE" });
  return on ? answer.json() : describe(id);
}

/** Return a file of a result (as of `describe`), {blob, name}. It needs no key, unlike an export. format: its name. */
export async function file({ name, files }, format) {
  const { url } = files[format];
  const answer = await send(fileUrl(url));
  if (!answer.ok) throw await problemOf(answer);
  return { blob: await answer.blob(), name: fileName(answer.headers.get("Content-Disposition") ?? "") ?? `${name}${url.match(/[^/.]+(\.[^/]+)$/)[1]}` };
}

/** Return the address of a file of a result for this page, which may have another address than the public one. */
export const fileUrl = (url) => `${ROOT}api/assets/${url.split("/").pop()}`;

/** Convert the result to another format; return {blob, name}. fields: `format` and its options, as strings. */
export async function exportAs(id, fields) {
  const answer = await request(`${ROOT}api/assets/${id}/export`, { method: "POST", body: form(fields) });
  const name = fileName(answer.headers.get("Content-Disposition") ?? "");
  return { blob: await answer.blob(), name: name ?? `${id}.${fields.format}` };
}

/** Return the name in a Content-Disposition header: `filename*`, which has any script, before `filename` (RFC 6266). */
function fileName(header) {
  const extended = header.match(/filename\*=UTF-8''([^;]+)/)?.[1];
  return extended ? decodeURIComponent(extended) : header.match(/filename="([^"]+)"/)?.[1];
}

/** Return fields as a form. A value may be a list, which is sent as several fields of one name; null is left out. */
function form(fields) {
  const data = new FormData();
  for (const [name, values] of Object.entries(fields)) {
    for (const value of [values].flat()) {
      if (value instanceof Blob) data.append(name, value, value.name ?? `${name}.png`);
      else if (value !== null) data.append(name, value);
    }
  }
  return data;
}
