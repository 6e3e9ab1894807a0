// Repeat requests that failed because the service is busy or still loading, after the time given in Retry-After.

import { Problem } from "./api.js";

const TEMPORARY = new Set(["busy", "not_ready"]);

/**
 * Return the value of `attempt()`, repeated while it fails temporarily. `waiting(problem, seconds)` is called each second
 * with the seconds left until the next attempt. Throw any other failure, and AbortError when `signal` ends the wait.
 */
export async function retryWhileBusy(attempt, waiting, signal) {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const temporary = error instanceof Problem && TEMPORARY.has(error.code) && error.retryAfter !== null;
      if (!temporary) throw error;
      for (let left = error.retryAfter; left > 0; left -= 1) {
        waiting(error, left);
        await pause(1000, signal);
      }
    }
  }
}

export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
