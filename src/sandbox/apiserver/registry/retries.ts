import { apiError } from '../api-error.js';

/** How long a write goes on when others keep getting in between: Kubernetes counts no attempts either. */
const retryMaxMs = 34_000;

/** The patience of one write that names no version. */
export class Retries {
  readonly #end = Date.now() + retryMaxMs;

  /** To be called when the write lost a race, before it is tried again. Throws 504 when its time is up. */
  next(): void {
    if (Date.now() < this.#end) return;
    throw apiError.timeout('request did not complete within requested timeout - context deadline exceeded');
  }
}
