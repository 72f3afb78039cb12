import { isRecord } from '../../collections/is-record.js';
import { algorithmOf, digestOf } from '../digest.js';
import type { ArchiveFile } from './archive-files.js';
import { damaged, documentMaxBytes, tooLarge } from '../limits.js';

/** Reads a JSON document, compared with its digest when one is given. */
export async function readDocument(
  file: ArchiveFile,
  digest?: string,
): Promise<{ value: Readonly<Record<string, unknown>>; digest: string } | undefined> {
  if (file.size > documentMaxBytes)
    throw tooLarge(`${file.name} has ${file.size} bytes; a document may have ${documentMaxBytes}`);
  const bytes = await file.read();
  const found = digestOf(bytes, digest === undefined ? 'sha256' : algorithmOf(digest));
  if (digest !== undefined && found !== digest)
    throw damaged(`${file.name} hashes to ${found}, not to ${digest}`);
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return isRecord(value) || Array.isArray(value)
      ? { value: value as Readonly<Record<string, unknown>>, digest: found }
      : undefined;
  } catch (error) {
    throw damaged(`${file.name} is not JSON`, error);
  }
}
