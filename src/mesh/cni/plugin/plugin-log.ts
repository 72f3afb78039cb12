import { appendFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { exchange } from './small-http.js';

type Fields = Readonly<Record<string, unknown>>;

const fileMaxBytes = 10 * 1024 * 1024;
const postTimeoutMs = 500;

/**
 * The plugin's log: lines go to a file in the run directory (one backup) and to the
 * agent's log socket. A log that cannot be written never fails a pod.
 */
export class PluginLog {
  readonly #runDir: string;
  readonly #isDebug: boolean;
  readonly #lines: string[] = [];

  constructor(runDir: string, level: string) {
    this.#runDir = runDir;
    this.#isDebug = level === 'debug';
  }

  debug(message: string, fields: Fields): void {
    if (this.#isDebug) this.#write('debug', message, fields);
  }

  info(message: string, fields: Fields): void {
    this.#write('info', message, fields);
  }

  error(message: string, fields: Fields): void {
    this.#write('error', message, fields);
  }

  /** Sends what was logged to the agent. Never rejects. */
  async flush(): Promise<void> {
    if (this.#lines.length === 0) return;
    const options = {
      socketPath: join(this.#runDir, 'log.sock'),
      path: '/log',
      method: 'POST',
      headers: { host: 'unix' },
    };
    const body = JSON.stringify(this.#lines);
    try {
      await exchange({ isTls: false, options }, { timeoutMs: postTimeoutMs, body });
    } catch {
      // The agent is away; the file has the lines.
    }
  }

  #write(level: string, message: string, fields: Fields): void {
    const line = JSON.stringify({ time: new Date().toISOString(), level, msg: message, ...fields });
    this.#lines.push(line);
    const path = join(this.#runDir, 'istio-cni.log');
    try {
      if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > fileMaxBytes)
        renameSync(path, `${path}.1`);
      appendFileSync(path, `${line}\n`, { mode: 0o640 });
    } catch {
      // A full or read-only disk must not keep pods from starting.
    }
  }
}
