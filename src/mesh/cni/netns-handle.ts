import { closeSync } from 'node:fs';
import { netnsInode, openNetns } from '#base/system/netns.js';

/**
 * An open network namespace, shared by those who work on it: the descriptor is
 * closed when the last of them has released it. Starts with one holder.
 */
export class NetnsHandle {
  readonly fd: number;
  readonly inode: bigint;
  #holders = 1;

  private constructor(fd: number) {
    this.fd = fd;
    this.inode = netnsInode(fd);
  }

  /** Opens a namespace file. Throws the file system's error. */
  static open(path: string): NetnsHandle {
    return new NetnsHandle(openNetns(path));
  }

  /** One more holder; pair with {@link release}. */
  retain(): this {
    if (this.#holders === 0) throw new Error('namespace handle used after its last release');
    this.#holders++;
    return this;
  }

  /** One holder less. */
  release(): void {
    if (this.#holders === 0) return;
    this.#holders--;
    if (this.#holders === 0) closeSync(this.fd);
  }

  /** True once the descriptor is closed. */
  get isClosed(): boolean {
    return this.#holders === 0;
  }
}
