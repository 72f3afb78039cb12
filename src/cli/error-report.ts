import { errorCatalog } from './error-catalog.js';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import type { Style } from './command.js';
import { exitCodeOf } from './exit-code.js';
import { wrapProse } from './prose.js';

/** A failure ready to be shown. */
export interface ErrorReport {
  readonly error: MeshError;
  readonly kind: string;
  readonly exitCode: number;
}

/** Explains anything thrown: a MeshError as it is, an interrupted wait, or an unexpected error. */
export function reportOf(thrown: unknown, isInterrupted: boolean): ErrorReport {
  const error = asMeshError(thrown, isInterrupted);
  const kind = errorCatalog[error.code]?.kind ?? 'bug';
  return {
    error: new MeshError(error.code, error.message, {
      evidence: error.evidence,
      hint: error.hint ?? errorCatalog[error.code]?.fix,
      cause: thrown,
    }),
    kind,
    exitCode: exitCodeOf(kind),
  };
}

/** The report for people: code, what failed, evidence, what to do. */
export function formatReport(
  report: ErrorReport,
  { style, isVerbose, width }: { style: Style; isVerbose: boolean; width: number },
): string {
  const { error } = report;
  const head = `error ${error.code}:`;
  const lines = [
    wrapProse(`${head} ${error.message}`, width, { hanging: 2 }).replace(head, style.bad(head)),
    ...(error.evidence === undefined ? [] : [wrapProse(error.evidence, width, { indent: 2, hanging: 2 })]),
    ...(error.hint === undefined
      ? []
      : [
          wrapProse(`fix: ${error.hint}`, width, { indent: 2, hanging: 7 }).replace(
            'fix:',
            style.bold('fix:'),
          ),
        ]),
    style.dim(`  meshctl explain ${error.code}`),
  ];
  if (isVerbose) lines.push(...causes(error.cause));
  return lines.join('\n');
}

function asMeshError(thrown: unknown, isInterrupted: boolean): MeshError {
  if (isInterrupted) return new MeshError('MESH0106', 'interrupted', { cause: thrown });
  if (thrown instanceof MeshError) return thrown;
  if (thrown instanceof Error && thrown.name === 'TimeoutError') {
    return new MeshError('MESH0107', 'gave up waiting', { evidence: thrown.message, cause: thrown });
  }
  return new MeshError('MESH0199', messageOf(thrown), { cause: thrown });
}

function indented(text: string): string[] {
  return text.split('\n').map((line) => `  ${line}`);
}

function causes(cause: unknown): string[] {
  const lines: string[] = [];
  let current = cause;
  for (let depth = 0; depth < 8 && current instanceof Error; depth++) {
    lines.push(...indented(current.stack ?? current.message));
    current = current.cause;
  }
  return lines;
}
