/** What one write keeps others from taking until it is made or given up. */
export class Holds {
  readonly #releases: (() => void)[] = [];

  /** Takes note of something held, and of how it is let go. */
  add(release: () => void): void {
    this.#releases.push(release);
  }

  /** Lets go of everything. */
  release(): void {
    for (const release of this.#releases.splice(0)) release();
  }
}
