import { isObject } from '../base/json.js';
import type { TerminalSize } from '../base/kubelet-gateway.js';

/** The size of a client's window: the last one is told to whoever begins to listen. */
export class WindowSize {
  readonly #callbacks = new Set<(size: TerminalSize) => void>();
  #size: TerminalSize | undefined;

  /** Takes a message of a resize channel; one that cannot be read changes nothing. */
  take(message: string): void {
    const size = parse(message);
    if (size === undefined) return;
    this.#size = size;
    for (const callback of this.#callbacks) callback(size);
  }

  onResize(callback: (size: TerminalSize) => void): void {
    this.#callbacks.add(callback);
    if (this.#size !== undefined) callback(this.#size);
  }
}

function parse(message: string): TerminalSize | undefined {
  try {
    const value: unknown = JSON.parse(message);
    if (!isObject(value)) return undefined;
    // Go reads names whatever their case, and clients rely on it.
    const columns = value.Width ?? value.width;
    const rows = value.Height ?? value.height;
    if (typeof columns !== 'number' || typeof rows !== 'number') return undefined;
    return { columns, rows };
  } catch {
    return undefined;
  }
}
