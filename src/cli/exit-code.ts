import type { ErrorKind } from '#base/errors/mesh-error.js';

/** Exit codes of every command; cli.md, "exit codes". */
export const exitCode = {
  fine: 0,
  notFine: 1,
  usage: 2,
  access: 3,
  timeout: 4,
} as const;

/** The exit code for an error of this kind. */
export function exitCodeOf(kind: ErrorKind): number {
  switch (kind) {
    case 'failed':
    case 'bug':
      return exitCode.notFine;
    case 'usage':
      return exitCode.usage;
    case 'access':
      return exitCode.access;
    case 'timeout':
      return exitCode.timeout;
  }
}

const severityRank: Readonly<Record<string, number>> = { info: 0, warning: 1, error: 2 };

/** The exit code for findings of these severities under a `--fail-on` value (`error`, `warning`, `info`, `never`). */
export function exitCodeOfFindings(severities: readonly string[], failOn: string): number {
  const threshold = severityRank[failOn];
  if (threshold === undefined) return exitCode.fine;
  return severities.some((s) => (severityRank[s] ?? 2) >= threshold) ? exitCode.notFine : exitCode.fine;
}
