import type { Io } from '../io.js';
import { complete } from './complete.js';
import { liveNames } from './live-names.js';
import { filesMark } from './shell-scripts.js';

/**
 * `meshctl __complete WORD...`, which the shells call: a candidate a line, with a tab before what it means. Never
 * fails: there is nobody to tell.
 */
export async function printCompletions(
  words: readonly string[],
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  const found = await complete(words, liveNames(signal)).catch(() => []);
  const lines =
    found === 'files'
      ? [filesMark]
      : found.map(({ value, description }) =>
          description === undefined ? value : `${value}\t${description}`,
        );
  if (lines.length > 0) io.stdout(`${lines.join('\n')}\n`);
  return 0;
}
