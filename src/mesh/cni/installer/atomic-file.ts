import { randomBytes } from 'node:crypto';
import { chmod, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/**
 * Writes a file in one step as seen by readers. An existing file keeps its mode
 * unless `mode` is given; a new one gets 0644.
 */
export async function writeAtomically(
  path: string,
  content: string,
  o: { readonly mode?: number } = {},
): Promise<void> {
  const existing = await stat(path).catch(() => undefined);
  const mode = o.mode ?? (existing === undefined ? 0o644 : existing.mode & 0o7777);
  await replaceAtomically(path, async (temporary) => {
    await writeFile(temporary, content, { mode });
    // The umask does not apply to chmod.
    await chmod(temporary, mode);
  });
}

/** Lets `make` create a file beside `path` and moves it into place; nothing stays behind on failure. */
export async function replaceAtomically(
  path: string,
  make: (temporaryPath: string) => Promise<void>,
): Promise<void> {
  // A leading dot: container runtimes ignore it while they look for configurations.
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    await make(temporary);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
