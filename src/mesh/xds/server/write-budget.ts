/** Bytes of large responses that may be under way at once, over all streams. */
const budgetBytes = 64 * 1024 * 1024;
/** A response this small is not counted. */
const smallBytes = 64 * 1024;
/** Longest a client may make others wait by not reading, in milliseconds. */
const holdMaxMs = 5_000;

/**
 * Spaces out large responses, so that a mesh of proxies that connect at once costs no copy of the complete state for
 * each of them at the same time. In order of arrival; one response always fits.
 */
export class WriteBudget {
  #usedBytes = 0;
  readonly #waiting: { readonly sizeBytes: number; readonly start: () => void }[] = [];

  /** Runs a write of about this size when there is room for it. */
  async spend(sizeBytes: number, write: () => Promise<void>): Promise<void> {
    if (sizeBytes <= smallBytes) return write();
    if (this.#waiting.length > 0 || !this.#fits(sizeBytes)) {
      // Whoever starts it counts it.
      await new Promise<void>((start) => this.#waiting.push({ sizeBytes, start }));
    } else {
      this.#usedBytes += sizeBytes;
    }
    let isHeld = true;
    const release = () => {
      if (!isHeld) return;
      isHeld = false;
      this.#usedBytes -= sizeBytes;
      this.#startWaiting();
    };
    const timer = setTimeout(release, holdMaxMs).unref();
    try {
      await write();
    } finally {
      clearTimeout(timer);
      release();
    }
  }

  #fits(sizeBytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + sizeBytes <= budgetBytes;
  }

  #startWaiting(): void {
    for (
      let next = this.#waiting[0];
      next !== undefined && this.#fits(next.sizeBytes);
      next = this.#waiting[0]
    ) {
      this.#waiting.shift();
      this.#usedBytes += next.sizeBytes;
      next.start();
    }
  }
}
