import { createInterface } from 'node:readline/promises';
import { MeshError } from '#base/errors/mesh-error.js';
import type { Io } from './io.js';

/**
 * Asks before something that changes the cluster. Without a terminal the
 * command proceeds only with `--yes`.
 * @throws MESH0104 when nobody can be asked, MESH0105 when the answer is not yes
 */
export async function confirm(
  io: Io,
  options: { question: string; isYes: boolean; signal: AbortSignal },
): Promise<void> {
  if (options.isYes) return;
  if (!io.isInteractive) {
    throw new MeshError('MESH0104', `not confirmed: ${options.question}`, {
      hint: 'Add --yes: there is no terminal to ask on.',
    });
  }
  const readline = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await readline.question(`${options.question} (y/N) `, { signal: options.signal });
    if (!/^(y|yes)$/i.test(answer.trim())) throw new MeshError('MESH0105', 'canceled; nothing was changed');
  } finally {
    readline.close();
  }
}
