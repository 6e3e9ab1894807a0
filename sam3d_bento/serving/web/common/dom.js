// Find elements of the page by id, and make new ones from text. Text from the service or a file never becomes markup.

export const byId = (id) => document.getElementById(id);

/** Make an element. properties: DOM properties. children: elements or strings. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Show one of several elements and hide the others. null: hide all. */
export function showOnly(shown, elements) {
  for (const element of elements) element.hidden = element !== shown;
}

const NOTICE_MILLISECONDS = 5000; // as long as a short sentence takes to be noticed and read

let noticeTimer = null;

/** Show a sentence for some seconds, and read it out: what was done, not what has to be done. */
export function notify(sentence) {
  byId("toast").textContent = sentence;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => (byId("toast").textContent = ""), NOTICE_MILLISECONDS);
}

/** Announce a sentence to screen readers only. */
export function announce(sentence) {
  byId("announcer").textContent = sentence;
}
