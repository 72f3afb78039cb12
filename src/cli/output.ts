import type { MeshError } from '#base/errors/mesh-error.js';
import type { CommandResult } from './command.js';
import type { Io } from './io.js';
import { makeStyle, wantsColor } from './style.js';

/** Version of every document that meshctl prints. */
export const documentApiVersion = 'meshctl.dev/v1';

/** Prints a result in the chosen format: exactly one document on stdout. */
export async function printResult(
  io: Io,
  result: CommandResult,
  options: { format: string; isColorAllowed: boolean },
): Promise<void> {
  const { format } = options;
  const special = result.formats?.[format];
  if (special !== undefined) {
    io.stdout(withNewline(special()));
    return;
  }
  if (format === 'json' || format === 'yaml') {
    await printDocument(io, format, { apiVersion: documentApiVersion, kind: result.kind, ...result.data });
    return;
  }
  const isWide = format === 'wide';
  const { makeTableRenderer } = await import('./table.js');
  const style = await makeStyle(wantsColor(io.isStdoutTty, options.isColorAllowed, io.env));
  const text = result.text({ wide: isWide, style, table: await makeTableRenderer({ wide: isWide }) });
  if (text !== '') io.stdout(withNewline(text));
}

/** Prints one machine-readable document. */
export async function printDocument(io: Io, format: 'json' | 'yaml', document: object): Promise<void> {
  if (format === 'json') {
    io.stdout(`${JSON.stringify(document, null, 2)}\n`);
    return;
  }
  const { toYaml } = await import('./yaml-document.js');
  io.stdout(toYaml(document));
}

/** The document that stands for a failure with `-o json|yaml`. */
export function errorDocument(error: MeshError, kind: string, exitCode: number): object {
  return {
    apiVersion: documentApiVersion,
    kind: 'Error',
    code: error.code,
    reason: kind,
    message: error.message,
    ...(error.evidence === undefined ? {} : { evidence: error.evidence }),
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    exitCode,
  };
}

function withNewline(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`;
}
