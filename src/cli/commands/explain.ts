import { errorCatalog } from '../error-catalog.js';
import { type ErrorCode, type ErrorKind, MeshError } from '#base/errors/mesh-error.js';
import { nearMiss } from '#base/errors/near-miss.js';
import type { CommandDefinition } from '../command.js';
import { exitCodeOf } from '../exit-code.js';

export const command: CommandDefinition = {
  description: 'Explains an error code: how it comes about and what to do.',
  args: [{ name: '[code]', description: 'such as MESH0104; without it, all codes are listed' }],
  examples: ['meshctl explain MESH0104', 'meshctl explain -o json'],
  formats: ['table', 'json', 'yaml'],
  permissions: [],
  run: async ({ args }) => {
    const given = args[0];
    if (given === undefined) {
      const codes = Object.entries(errorCatalog).toSorted(([a], [b]) => a.localeCompare(b));
      return {
        kind: 'ErrorCodeList',
        data: { items: codes.map(([code, entry]) => codeData(code, entry)) },
        text: (view) =>
          view.table({
            head: ['CODE', 'EXIT', 'MEANING'],
            rows: codes.map(([code, entry]) => [code, String(exitCodeOf(entry.kind)), entry.title]),
          }),
      };
    }
    const digits = /^(?:mesh)?(\d{4})$/i.exec(given)?.[1];
    const code = digits === undefined ? given : `MESH${digits}`;
    const entry = errorCatalog[code];
    if (entry === undefined) {
      const near = nearMiss(code, Object.keys(errorCatalog));
      throw new MeshError('MESH0108', `unknown error code ${given}`, {
        hint: near === undefined ? undefined : `Did you mean ${near}? "meshctl explain" lists all codes.`,
      });
    }
    const exit = exitCodeOf(entry.kind);
    return {
      kind: 'ErrorCode',
      data: codeData(code, entry),
      text: ({ style, prose, facts }) =>
        [
          style.bold(prose(`${code}: ${entry.title}`)),
          '',
          facts([
            ['Cause', entry.cause],
            ['Fix', entry.fix],
            ['Exit code', String(exit)],
          ]),
        ].join('\n'),
    };
  },
};

/** A code as documents have it; `reason` as in the document of an error. */
function codeData(
  code: string,
  { kind, title, cause, fix }: ErrorCode,
): {
  readonly code: string;
  readonly reason: ErrorKind;
  readonly title: string;
  readonly cause: string;
  readonly fix: string;
  readonly exitCode: number;
} {
  return { code, reason: kind, title, cause, fix, exitCode: exitCodeOf(kind) };
}
