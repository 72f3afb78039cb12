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

  /** The versions of a package within a range. */
  async versions(name: string, range: string): Promise<readonly string[]> {
    const answer = await view(`${name}@${range}`, 'version');
    return (Array.isArray(answer) ? answer : [answer]).map(String);
  }

  /** The integrity of one version. */
  async integrity(name: string, version: string): Promise<string> {
    const answer = await view(`${name}@${version}`, 'dist.integrity');
    if (typeof answer === 'string') return answer;
    throw new Error(`npm has no integrity of ${name}@${version}`);
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

async function view(what: string, field: string): Promise<unknown> {
  const { stdout, stderr, exitCode } = await npm(['view', what, field, '--json']);
  if (exitCode !== 0 || stdout.trim() === '') throw new Error(`npm knows no ${what}\n${stderr.trim()}`);
  return JSON.parse(stdout) as unknown;
}
