import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { makeFolder } from '../host/make-folder.js';
import type { NodeHost } from '../host/node-host.js';
import type { CniConfigList } from './config.js';
import type { CniAttachment, CniResult } from './attachment.js';

/** Where results of ADD are kept for CHECK and DEL (CNI specification, section 4). */
const folder = '/var/lib/cni/results';

/** What was done for an attachment. */
export interface CachedAttachment {
  readonly attachment: CniAttachment;
  readonly config: CniConfigList;
  readonly result: CniResult;
}

/** A node's record of its attachments, one file each. */
export class ResultCache {
  readonly #host: NodeHost;

  constructor(host: NodeHost) {
    this.#host = host;
  }

  async write(entry: CachedAttachment): Promise<void> {
    await makeFolder(this.#host.path(folder));
    await writeFile(this.#path(entry.attachment.containerId), JSON.stringify(entry));
  }

  /** Undefined when it never was, or is deleted already. */
  async read(containerId: string): Promise<CachedAttachment | undefined> {
    try {
      // Written by write in this very shape.
      return JSON.parse(await readFile(this.#path(containerId), 'utf8')) as CachedAttachment;
    } catch {
      return undefined; // absent
    }
  }

  async list(): Promise<CachedAttachment[]> {
    const names = await readdir(this.#host.path(folder)).catch(() => [] as string[]);
    const entries = await Promise.all(names.map((name) => this.read(name.replace(/\.json$/, ''))));
    return entries.filter((entry) => entry !== undefined);
  }

  async remove(containerId: string): Promise<void> {
    await rm(this.#path(containerId), { force: true });
  }

  #path(containerId: string): string {
    return this.#host.path(`${folder}/${containerId}.json`);
  }
}
