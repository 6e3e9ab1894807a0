// What the visitor chose in the forms, by the names of the controls; kept between visits.

const KEY = "sam3d-choices"; // storage key

/** Return the value that was kept for a control, as a string; null if there is none. */
export function keptChoice(name) {
  return read()[name] ?? null;
}

/** Keep a control's value; null: forget it, because it is the usual one. */
export function keepChoice(name, value) {
  const { [name]: former, ...others } = read();
  write(value === null ? others : { ...others, [name]: value });
}

/** Read the values. None if storage is switched off, or holds data of another version. */
function read() {
  try {
    return { ...JSON.parse(localStorage.getItem(KEY)) };
  } catch {
    return {};
  }
}

function write(choices) {
  try {
    localStorage.setItem(KEY, JSON.stringify(choices));
  } catch {
    // storage is full or switched off; the choices last as long as the page
  }
}
