import { constants } from 'node:fs';
import { cp, mkdir, readFile, realpath, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const copied = ['package.json', 'bin', 'dist', 'templates'] as const;
/** The one dependency that is not in the bundles: it has native code. */
const nativeModule = 'koffi';

/**
 * Copies the program into the sandbox's folder: its pods go on running what was
 * there at `up`, also while the original is rebuilt or upgraded. Copies share
 * blocks where the file system can.
 */
export async function snapshotPackage(packageRoot: string, target: string): Promise<void> {
  await rm(target, { recursive: true, force: true });
  await mkdir(target, { recursive: true });
  const options = { recursive: true, mode: constants.COPYFILE_FICLONE, dereference: true };
  await Promise.all(
    copied.map((name) =>
      cp(join(packageRoot, name), join(target, name), {
        ...options,
        // Source maps are for developers, and half of the bytes.
        filter: (source) => !source.endsWith('.map'),
      }),
    ),
  );
  const require = createRequire(join(packageRoot, 'package.json'));
  const koffi = await moduleFolder(require, nativeModule);
  await cp(koffi, join(target, 'node_modules', nativeModule), options);
  await copyPrebuilt(koffi, target, options);
}

/** Koffi's prebuilt library for this machine is a package of its own, or part of koffi. */
async function copyPrebuilt(
  koffi: string,
  target: string,
  options: { recursive: boolean; mode: number; dereference: boolean },
): Promise<void> {
  const manifest = JSON.parse(await readFile(join(koffi, 'package.json'), 'utf8')) as {
    optionalDependencies?: Record<string, string>;
  };
  const require = createRequire(join(koffi, 'package.json'));
  for (const name of Object.keys(manifest.optionalDependencies ?? {})) {
    const folder = await moduleFolder(require, name).catch(() => undefined); // other platforms are not installed
    if (folder !== undefined) await cp(folder, join(target, 'node_modules', name), options);
  }
}

async function moduleFolder(require: NodeJS.Require, name: string): Promise<string> {
  for (const folder of require.resolve.paths(name) ?? []) {
    const found = await realpath(join(folder, name, 'package.json')).catch(() => undefined);
    if (found !== undefined) return dirname(found);
  }
  throw new Error(`the package ${name} is not installed`);
}
