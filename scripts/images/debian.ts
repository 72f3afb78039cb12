import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/base/system/run.js';
import type { Architecture, LockedPackage } from './lock.js';

const aptTimeoutMs = 300_000;

/**
 * Debian packages of any architecture, from the mirrors that this machine's apt is set up with. apt keeps an index of
 * its own here, so the machine is not changed, and verifies signatures of the index as ever.
 */
export class DebianPackages {
  readonly #architecture: Architecture;
  readonly #state: string;
  readonly #files: string;
  #isUpdated = false;

  /** @param cache a folder that may be kept between builds. */
  constructor(architecture: Architecture, cache: string) {
    this.#architecture = architecture;
    this.#state = join(cache, `apt-${architecture}`);
    this.#files = join(cache, 'debs');
    mkdirSync(join(this.#state, 'lists', 'partial'), { recursive: true });
    mkdirSync(join(this.#state, 'cache'), { recursive: true });
    mkdirSync(this.#files, { recursive: true });
    writeFileSync(join(this.#state, 'status'), '');
  }

  /** The newest versions of packages that the release has. */
  async newest(names: readonly string[]): Promise<Record<string, LockedPackage>> {
    await this.#update();
    const { stdout } = await this.#apt('apt-cache', ['show', '--no-all-versions', ...names]);
    const found = new Map<string, LockedPackage>();
    for (const paragraph of stdout.split('\n\n')) {
      const field = (key: string): string => new RegExp(`^${key}: (.+)$`, 'm').exec(paragraph)?.[1] ?? '';
      found.set(field('Package'), { version: field('Version'), sha256: field('SHA256') });
    }
    const missing = names.filter((name) => !found.has(name));
    if (missing.length > 0)
      throw new Error(`apt has no ${missing.join(', ')} for ${this.#architecture} on this machine`);
    return Object.fromEntries(names.map((name) => [name, found.get(name) as LockedPackage]));
  }

  /** Path of a package's file, which has the digest of the lock. */
  async file(name: string, { version, sha256 }: LockedPackage): Promise<string> {
    const path = join(this.#files, `${sha256}.deb`);
    if (existsSync(path) && digestOfFile(path) === sha256) return path;
    await this.#update();
    const folder = mkdtempSync(join(this.#files, 'download-'));
    try {
      const arguments_ = ['download', `${name}:${this.#architecture}=${version}`];
      const { exitCode, stderr } = await this.#apt('apt-get', arguments_, folder);
      const encoded = version.replaceAll(':', '%3a');
      const found = [encoded, version]
        .map((v) => join(folder, `${name}_${v}_${this.#architecture}.deb`))
        .find(existsSync);
      const isOther = found !== undefined && digestOfFile(found) !== sha256;
      if (exitCode !== 0 || found === undefined || isOther)
        throw new Error(
          `${name} ${version} (${this.#architecture}) of scripts/images/lock.json ${isOther ? 'has another content' : 'is not'} in this machine's apt sources; ` +
            `npm run images -- --update-lock takes what they have now\n${stderr.trim()}`,
        );
      renameSync(found, path);
      return path;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  async #update(): Promise<void> {
    if (this.#isUpdated) return;
    this.#isUpdated = true;
    const { exitCode, stderr } = await this.#apt('apt-get', ['update']);
    if (exitCode !== 0) throw new Error(`apt-get update for ${this.#architecture} failed\n${stderr.trim()}`);
  }

  #apt(program: string, arguments_: readonly string[], cwd?: string) {
    const state = (key: string, value: string): string[] => ['-o', `${key}=${value}`];
    return run(
      program,
      [
        ...state('APT::Architecture', this.#architecture),
        ...state('APT::Architectures', this.#architecture),
        ...state('Dir::State', this.#state),
        ...state('Dir::State::status', join(this.#state, 'status')),
        ...state('Dir::Cache', join(this.#state, 'cache')),
        // It is not root that downloads into a folder of ours.
        ...state('APT::Sandbox::User', ''),
        ...arguments_,
      ],
      { timeoutMs: aptTimeoutMs, env: { LC_ALL: 'C' }, ...(cwd === undefined ? {} : { cwd }) },
    );
  }
}

/** Codename of the Debian release of this machine. */
export function debianRelease(): string {
  const text = readFileSync('/etc/os-release', 'utf8');
  const name = /^VERSION_CODENAME=(\w+)$/m.exec(text)?.[1];
  if (!/^ID=debian$/m.test(text) || name === undefined)
    throw new Error('a lock is made on Debian, whose packages it names');
  return name;
}

function digestOfFile(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}
