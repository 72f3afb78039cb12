import type { MeshError } from '#base/errors/mesh-error.js';
import type { CommandResult } from './command.js';
import type { Io } from './io.js';

/** Version of every document that meshctl prints. */
export const documentApiVersion = 'meshctl.dev/v1';

/** How a result is to look. */
export interface ResultFormat {
  readonly format: string;
  readonly isColorAllowed: boolean;
}

/** Prints a result in the chosen format: exactly one document on stdout. */
export async function printResult(io: Io, result: CommandResult, options: ResultFormat): Promise<void> {
  const text = await renderResult(io, result, options);
  if (text !== '') io.stdout(text);
}

/** A result in the chosen format, as it goes to stdout; empty when there is nothing to print. */
export async function renderResult(io: Io, result: CommandResult, options: ResultFormat): Promise<string> {
  const { format } = options;
  const special = result.formats?.[format];
  if (special !== undefined) return withNewline(special());
  if (format === 'json' || format === 'yaml') {
    return renderDocument(format, { apiVersion: documentApiVersion, kind: result.kind, ...result.data });
  }
  const { makeTextView } = await import('./text-view.js');
  const text = result.text(
    await makeTextView(io, { isWide: format === 'wide', isColorAllowed: options.isColorAllowed }),
  );
  return text === '' ? '' : withNewline(text);
}

/** Prints one machine-readable document. */
export async function printDocument(io: Io, format: 'json' | 'yaml', document: object): Promise<void> {
  io.stdout(await renderDocument(format, document));
}

async function renderDocument(format: 'json' | 'yaml', document: object): Promise<string> {
  if (format === 'json') return `${JSON.stringify(document, null, 2)}\n`;
  const { toYaml } = await import('./yaml-document.js');
  return toYaml(document);
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
