// Files that the browser keeps by id in its database (IndexedDB). Where it has none, or no room, nothing is kept, and no
// action fails.

/** Return an id that nothing else has. */
export const newId = () => crypto.randomUUID?.() ?? String(Math.random()); // a page without TLS has no randomUUID

export class FileStore {
  constructor(database, store) {
    Object.assign(this, { database, store });
  }

  put(id, value) {
    return this.#quietly("readwrite", (store) => store.put(value, id));
  }

  delete(id) {
    return this.#quietly("readwrite", (store) => store.delete(id));
  }

  /** Return what was put with this id; null if there is nothing. */
  async get(id) {
    return (await this.#quietly("readonly", (store) => store.get(id))) ?? null;
  }

  /** Return all [id, value]. */
  async entries() {
    const ids = (await this.#quietly("readonly", (store) => store.getAllKeys())) ?? [];
    return Promise.all(ids.map(async (id) => [id, await this.get(id)]));
  }

  /** Delete what was put too long ago. longest: milliseconds. Values have the time in `at`. */
  async deleteOlder(longest) {
    for (const [id, value] of await this.entries()) if (value && Date.now() - value.at > longest) this.delete(id);
  }

  async #quietly(mode, act) {
    try {
      return await this.#inStore(mode, act);
    } catch {
      return undefined;
    }
  }

  async #inStore(mode, act) {
    const database = await settled(Object.assign(indexedDB.open(this.database, 1), {
      onupgradeneeded: ({ target }) => target.result.createObjectStore(this.store),
    }));
    try {
      const transaction = database.transaction(this.store, mode);
      const request = act(transaction.objectStore(this.store));
      await settled(transaction, "complete"); // a success alone may be lost when the page is left
      return request.result;
    } finally {
      database.close();
    }
  }
}

const settled = (process, success = "success") => new Promise((resolve, reject) => {
  process.addEventListener(success, () => resolve(process.result));
  for (const failure of ["error", "abort"]) process.addEventListener(failure, () => reject(process.error));
});
