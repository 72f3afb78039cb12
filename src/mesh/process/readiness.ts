import type { Handler } from './http-server.js';

/** What still keeps a part of the program from serving; undefined when nothing does. */
export type ReadinessCheck = () => string | undefined;

/** Whether a program may be sent traffic: it is ready when every part of it is. */
export class Readiness {
  readonly #parts = new Map<string, ReadinessCheck>();

  /** Adds a part, or replaces its check. */
  require(part: string, check: ReadinessCheck): void {
    this.#parts.set(part, check);
  }

  /** The parts that are not ready, with the reason. */
  get pending(): readonly { readonly part: string; readonly why: string }[] {
    return [...this.#parts].flatMap(([part, check]) => {
      const why = check();
      return why === undefined ? [] : [{ part, why }];
    });
  }

  /**
   * Answers `path`: 200 when ready, else `notReadyStatus` with a line for each part that is pending. Kubelet takes
   * any status from 400 for not ready; upstream's programs differ in which one they use.
   */
  handler(path: string, notReadyStatus: 500 | 503): Handler {
    return (request, url) => {
      if (url.pathname !== path) return undefined;
      if (request.method !== 'GET' && request.method !== 'HEAD')
        return { status: 405, body: 'Invalid HTTP method\n' };
      const { pending } = this;
      if (pending.length === 0) return { status: 200, body: 'ready\n' };
      const lines = pending.map(({ part, why }) => `  ${part}: ${why}\n`).join('');
      const names = pending.map(({ part }) => part).join(', ');
      return { status: notReadyStatus, body: `not ready, pending: ${names}\n${lines}` };
    };
  }
}
