// Files that the browser keeps by id in its database (IndexedDB). Where it has none, or no room, nothing is kept, and no
// action fails.

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
      return await settled(act(database.transaction(this.store, mode).objectStore(this.store)));
    } finally {
      database.close();
    }
  }
}

const settled = (request) => new Promise((resolve, reject) => {
  request.addEventListener("success", () => resolve(request.result));
  request.addEventListener("error", () => reject(request.error));
});
