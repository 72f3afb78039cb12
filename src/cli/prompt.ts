import { createInterface } from 'node:readline/promises';
import { MeshError } from '#base/errors/mesh-error.js';
import type { Io } from './io.js';

/**
 * Asks before something that changes the cluster. Without a terminal the
 * command proceeds only with `--yes`.
 * Resolves to whether the answer is yes: no is an answer like another, and no error.
 * @throws MESH0104 when nobody can be asked
 */
export async function confirm(
  io: Io,
  options: { question: string; isYes: boolean; signal: AbortSignal },
): Promise<boolean> {
  if (options.isYes) return true;
  if (!io.isInteractive) {
    throw new MeshError('MESH0104', `not confirmed: ${options.question}`, {
      hint: 'Add --yes: there is no terminal to ask on.',
    });
  }
  const readline = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await readline.question(`${options.question} (y/N) `, { signal: options.signal });
    return /^(y|yes)$/i.test(answer.trim());
  } finally {
    readline.close();
  }
}
