import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/base/system/run.js';

const npmTimeoutMs = 300_000;

/** Packages as npm packs them, by their integrity. */
export class NpmPackages {
  readonly #folder: string;

  /** @param cache a folder that may be kept between builds. */
  constructor(cache: string) {
    this.#folder = join(cache, 'npm');
    mkdirSync(this.#folder, { recursive: true });
  }

  /** Version and integrity of what a name and range stand for now; the highest of several. */
  async newest(name: string, range: string): Promise<{ version: string; integrity: string }> {
    const { stdout, stderr, exitCode } = await npm([
      'view',
      `${name}@${range}`,
      'version',
      'dist.integrity',
      '--json',
    ]);
    if (exitCode !== 0) throw new Error(`npm view ${name}@${range} failed\n${stderr.trim()}`);
    const answer: unknown = JSON.parse(stdout);
    const found = (Array.isArray(answer) ? answer.at(-1) : answer) as Record<string, string> | undefined;
    const [version, integrity] = [found?.['version'], found?.['dist.integrity']];
    if (version === undefined || integrity === undefined) throw new Error(`npm knows no ${name}@${range}`);
    return { version, integrity };
  }

  /** Path of a package's tarball, which has the integrity of the lock. */
  async file(name: string, { version, integrity }: { version: string; integrity: string }): Promise<string> {
    const [algorithm = '', digest = ''] = integrity.split('-');
    const path = join(this.#folder, `${Buffer.from(digest, 'base64').toString('hex')}.tgz`);
    const isRight = (file: string): boolean =>
      createHash(algorithm).update(readFileSync(file)).digest('base64') === digest;
    if (existsSync(path) && isRight(path)) return path;
    const folder = mkdtempSync(join(this.#folder, 'download-'));
    try {
      const { exitCode, stderr } = await npm([
        'pack',
        `${name}@${version}`,
        '--silent',
        '--pack-destination',
        folder,
      ]);
      const [file] = readdirSync(folder);
      if (exitCode !== 0 || file === undefined)
        throw new Error(`npm pack ${name}@${version} failed\n${stderr.trim()}`);
      const found = join(folder, file);
      if (!isRight(found)) throw new Error(`${name}@${version} does not have the integrity of the lock`);
      renameSync(found, path);
      return path;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

function npm(args: readonly string[]) {
  return run('npm', args, { timeoutMs: npmTimeoutMs });
}
