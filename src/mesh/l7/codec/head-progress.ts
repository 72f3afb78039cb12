const lineFeed = 0x0a;

/** Where a connection is between the first byte of a request and the end of its head. */
export class HeadProgress {
  #startedMs: number | undefined;
  #isInLine = false;

  /** Whether the end of the request line is awaited. */
  get isInRequestLine(): boolean {
    return this.#startedMs !== undefined && this.#isInLine;
  }

  /** Bytes came that do not belong to a body. */
  received(bytes: Buffer, nowMs: number): void {
    if (this.#startedMs === undefined) {
      this.#startedMs = nowMs;
      this.#isInLine = true;
    }
    if (this.#isInLine && bytes.includes(lineFeed)) this.#isInLine = false;
  }

  /** The head came to its end. */
  complete(): void {
    this.#startedMs = undefined;
  }

  /** Whether a head began longer ago than that and has not ended. */
  isOverdue(nowMs: number, limitMs: number): boolean {
    return this.#startedMs !== undefined && nowMs - this.#startedMs > limitMs;
  }
}
