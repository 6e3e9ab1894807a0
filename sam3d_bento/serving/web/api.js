// The service's HTTP API. Addresses are relative to the page, so that they stay on its host, also behind a proxy that
// serves it below a folder. Every failure is a Problem. Where the service wants a key, a request waits until there is one.

import { askForKey, keyHeaders } from "./key.js";

/** What went wrong, in the words of the service (RFC 9457). */
export class Problem extends Error {
  constructor({ title, detail, code, request_id }, retryAfter = null) {
    super(detail);
    this.title = title;
    this.code = code;
    this.requestId = request_id;
    this.retryAfter = retryAfter; // seconds; null: the service named none
  }
}

const UNREACHABLE = {
  title: "No answer",
  detail: "The service cannot be reached. Check the connection and try again.",
  code: "unreachable",
};

const UNREADABLE = {
  title: "The model cannot be shown here",
  detail: "Its file could not be read: the connection failed, or the store of results does not let this page read it. Try the download.",
  code: "unreadable",
};

async function send(path, init) {
  try {
    return await fetch(path, init);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(UNREACHABLE);
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
  // Anything else comes from a proxy on the way.
  const document = isProblem
    ? await answer.json()
    : { title: `Error ${answer.status}`, detail: "The service did not answer as it should.", code: "foreign" };
  return new Problem(document, Number.isNaN(retryAfter) ? null : retryAfter);
}

export const options = async () => (await request("api/options")).json();

/** The state of the service; it is JSON with 503 too. */
export const health = async () => (await send("health", { cache: "no-store" })).json();

/** The mask that would be used: {png, source, coverage, warnings}. */
export async function mask(photo, uploaded, signal) {
  const answer = await request("api/mask", { method: "POST", body: form({ image: photo, mask: uploaded }), signal });
  const { headers } = answer;
  return {
    png: await answer.blob(),
    source: headers.get("X-Mask-Source"),
    coverage: Number(headers.get("X-Mask-Coverage")),
    warnings: headers.get("X-Warnings").split(",").filter(Boolean),
  };
}

export const submit = async (photo, uploaded, options, signal) =>
  (await request("api/jobs", { method: "POST", body: form({ image: photo, mask: uploaded, ...options }), signal })).json();

export const job = async (id) => (await request(`api/jobs/${id}`)).json();

export const eventsUrl = (id) => `api/jobs/${id}/events`;

export const cancel = (id) => request(`api/jobs/${id}`, { method: "DELETE" });

export const assetUrl = (id) => `api/assets/${id}.glb`;

export const thumbnailUrl = (id) => `api/assets/${id}.webp`;

/** The GLB's bytes. With a bucket, the service leads to another host, which may not let this page read them. */
export async function asset(id) {
  try {
    const answer = await send(assetUrl(id)); // without a key: it would travel on to that host
    if (!answer.ok) throw await problemOf(answer);
    return await answer.arrayBuffer();
  } catch (error) {
    throw error.code === UNREACHABLE.code ? new Problem(UNREADABLE) : error;
  }
}

/** The result as another file: {blob, name}. fields: `format` and the options of it, as texts. */
export async function exportAs(id, fields) {
  const answer = await request(`api/assets/${id}/export`, { method: "POST", body: form(fields) });
  const name = fileName(answer.headers.get("Content-Disposition") ?? "");
  return { blob: await answer.blob(), name: name ?? `${id}.${fields.format}` };
}

/** The name in a Content-Disposition header: `filename*`, which has any script, before `filename` (RFC 6266). */
function fileName(header) {
  const extended = header.match(/filename\*=UTF-8''([^;]+)/)?.[1];
  return extended ? decodeURIComponent(extended) : header.match(/filename="([^"]+)"/)?.[1];
}

/** Whether a result can still be fetched. Unsure, after a failure on the way, counts as yes. */
export async function exists(id) {
  // manual: with a bucket the answer is a redirect to it, which says enough. no-store: a kept GLB would answer for it.
  const how = { method: "HEAD", redirect: "manual", cache: "no-store" };
  const answer = await send(assetUrl(id), how).catch(() => null);
  return answer?.status !== 404;
}

function form(fields) {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Blob) data.append(name, value, value.name ?? `${name}.png`);
    else if (value !== null) data.append(name, value);
  }
  return data;
}
