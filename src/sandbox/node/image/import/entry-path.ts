import { damaged } from '#base/oci/limits.js';

const partMaxBytes = 255;
const pathMaxBytes = 4096;

/**
 * The parts of a path in a layer: relative to the root whatever it begins with.
 * Throws MESH0841 for `..`, NUL and what no file system could hold.
 */
export function entryPath(name: string): string[] {
  if (name.includes('\0') || Buffer.byteLength(name) > pathMaxBytes)
    throw damaged(`a path in a layer is not acceptable: ${quote(name)}`);
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  for (const part of parts) {
    if (part === '..') throw damaged(`a path in a layer leads out of it: ${quote(name)}`);
    if (Buffer.byteLength(part) > partMaxBytes)
      throw damaged(`a name in a layer is too long: ${quote(name)}`);
  }
  return parts;
}

function quote(name: string): string {
  const shownMaxChars = 120;
  return JSON.stringify(name.length > shownMaxChars ? `${name.slice(0, shownMaxChars)}...` : name);
}
