// What the visitor chooses for all pages: language and colours. They are kept in cookies, because the service fills both
// in (serving/localized_pages.py): the page is never seen in another language, or in light before it turns dark.

import { byId } from "./dom.js";

const YEAR = 31_536_000; // seconds
const BASE = new URL("../..", import.meta.url).pathname; // the folder of the studio, also behind a proxy

/**
 * Let the visitor switch the language and the colours. keepPage(): called before the page is loaded anew in another language;
 * it may return a promise.
 */
export function offerPreferences(keepPage = () => {}) {
  const root = document.documentElement;
  const theme = byId("theme");
  theme.value = root.dataset.theme;
  theme.addEventListener("change", () => {
    keep("sam3d-theme", theme.value);
    root.dataset.theme = theme.value;
  });
  const language = byId("language");
  language.value = root.lang;
  language.addEventListener("change", async () => {
    keep("sam3d-language", language.value);
    await keepPage();
    const address = new URL(location.href);
    address.searchParams.delete("lang"); // it would win over the choice
    location.replace(address);
  });
}

function keep(name, value) {
  document.cookie = `${name}=${value}; path=${BASE}; max-age=${YEAR}; samesite=lax`;
}
