// Elements of the page: found by id, or made from text. Text of the service or of a file never becomes markup.

export const byId = (id) => document.getElementById(id);

/** A new element. `properties` are those of the DOM; `children` are elements or texts. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Show one of several elements, and only it. null: none. */
export function showOnly(shown, elements) {
  for (const element of elements) element.hidden = element !== shown;
}

/** Say something to screen readers only. */
export function announce(sentence) {
  byId("announcer").textContent = sentence;
}
