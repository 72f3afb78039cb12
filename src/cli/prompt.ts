import { createInterface } from 'node:readline';
import { MeshError } from '#base/errors/mesh-error.js';
import type { Io } from './io.js';

/**
 * Asks before something that changes the cluster. Without a terminal the
 * command proceeds only with `--yes`.
 * Resolves to whether the answer is yes: no is an answer like another, and no error; nor is an input that ends.
 * Rejects with the reason of the signal when it is aborted.
 * @throws MESH0104 when nobody can be asked
 */
export async function confirm(
  io: Pick<Io, 'isInteractive' | 'stdin' | 'stderr'>,
  options: { question: string; isYes: boolean; signal: AbortSignal },
): Promise<boolean> {
  if (options.isYes) return true;
  if (!io.isInteractive) {
    throw new MeshError('MESH0104', `not confirmed: ${options.question}`, {
      hint: 'Add --yes: there is no terminal to ask on.',
    });
  }
  io.stderr(`${options.question} (y/N) `);
  const answer = await nextLine(io, options.signal);
  // Whoever ends the input, with Ctrl-D, leaves the cursor behind the question.
  if (answer === undefined) io.stderr('\n');
  return /^(y|yes)$/i.test(answer?.trim() ?? '');
}

/** One line as the terminal gives it, which does its own echo and editing; undefined when the input ends. */
async function nextLine({ stdin }: Pick<Io, 'stdin'>, signal: AbortSignal): Promise<string | undefined> {
  const lines = createInterface({ input: stdin, terminal: false });
  try {
    return await new Promise<string | undefined>((resolve, reject) => {
      const stop = (): void => reject(signal.reason as Error);
      if (signal.aborted) stop();
      signal.addEventListener('abort', stop, { once: true });
      lines.once('line', resolve).once('close', () => {
        signal.removeEventListener('abort', stop);
        resolve(undefined);
      });
    });
  } finally {
    lines.close();
  }
}
