// The page's texts in its language. The service writes them into the page (serving/localized_pages.py) from texts.json.

const texts = JSON.parse(document.getElementById("texts").textContent);
const plurals = new Intl.PluralRules(document.documentElement.lang);

/**
 * Return a text. values: what stands for its placeholders, `{name}`, as text or as a number; numbers are written as the
 * language does. Where a text has plural forms, `values.count`, a number, chooses the form.
 */
export function text(key, values = {}) {
  const found = textOr(key, null, values);
  if (found === null) console.error(`texts.json has no ${key}`);
  return found ?? key;
}

/** Return a text, or another one if there is none with that key: for codes and names that the service gives. */
export function textOr(key, otherwise, values = {}) {
  const found = texts[key];
  if (found === undefined) return otherwise;
  const form = typeof found === "string" ? found : found[plurals.select(values.count)] ?? found.other;
  return form.replace(/\{(\w+)\}/g, (placeholder, name) => written(values[name] ?? placeholder));
}

const numbers = new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: 6 });
const written = (value) => (typeof value === "number" ? numbers.format(value) : value);
