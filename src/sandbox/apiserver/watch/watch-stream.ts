import { type ApiExchange, setWarnings } from '../http/exchange.js';
import type { WatchRun } from './watch-events.js';

/** A client that does not read the end of its watch is left after this. */
const lingerMs = 60_000;

/** Serves a watch as an HTTP answer: one frame after the other. */
export class WatchStream {
  readonly #exchange: ApiExchange;
  readonly #watch: WatchRun;

  constructor(exchange: ApiExchange, watch: WatchRun) {
    this.#exchange = exchange;
    this.#watch = watch;
  }

  /** Runs the watch to its end. */
  async run(): Promise<void> {
    const { request, response, signal } = this.#exchange;
    response.statusCode = 200;
    response.setHeader('Content-Type', this.#watch.contentType);
    response.setHeader('Cache-Control', 'no-cache, private');
    if (request.httpVersionMajor === 1) response.setHeader('Transfer-Encoding', 'chunked');
    setWarnings(this.#exchange);
    response.flushHeaders();
    await this.#watch.run(
      {
        write: (frame) => response.write(frame),
        drained: () =>
          new Promise<void>((resolve) => {
            const go = (): void => {
              response.off('drain', go);
              signal.removeEventListener('abort', go);
              resolve();
            };
            response.once('drain', go);
            signal.addEventListener('abort', go, { once: true });
          }),
      },
      signal,
    );
    response.end();
    const linger = setTimeout(() => response.destroy(), lingerMs);
    response.once('close', () => clearTimeout(linger));
  }
}
