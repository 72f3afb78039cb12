import type { FieldValidation, WriteOptions } from '../registry/write-options.js';
import { apiError, type FieldError, fieldError } from '../api-error.js';
import type { ApiExchange } from './exchange.js';
import { queryFlag } from './query.js';
import type { ResourcePath } from './request-info.js';

const managerMaxLength = 128;

/** The kinds of options a write's query is checked as; refusals name them. */
export type OptionsKind = 'CreateOptions' | 'UpdateOptions' | 'PatchOptions' | 'DeleteOptions';

/** Problems of `dryRun` values; anything but `All` is unknown. */
export function dryRunErrors(values: readonly string[]): FieldError[] {
  if (values.every((v) => v === 'All')) return [];
  const shown = `[]string{${values.map((v) => JSON.stringify(v)).join(', ')}}`;
  return [
    {
      reason: 'FieldValueNotSupported',
      field: 'dryRun',
      message: `Unsupported value: ${shown}: supported values: "All"`,
    },
  ];
}

function managerErrors(manager: string): FieldError[] {
  const errors: FieldError[] = [];
  if (manager.length > managerMaxLength) errors.push(fieldError.tooLong('fieldManager', managerMaxLength));
  const at = manager.search(/[\p{C}\p{Zl}\p{Zp}]/u);
  if (at >= 0) {
    const code = (manager.codePointAt(at) ?? 0).toString(16).toUpperCase().padStart(4, '0');
    errors.push(
      fieldError.invalid('fieldManager', manager, `invalid character U+${code} (at position ${at})`),
    );
  }
  return errors;
}

function validationOf(query: URLSearchParams): FieldValidation | undefined {
  const value = query.get('fieldValidation') ?? '';
  if (value === '') return 'Warn';
  return value === 'Ignore' || value === 'Warn' || value === 'Strict' ? value : undefined;
}

/** Who writes when the query does not say: the client program, as its User-Agent names it. */
function managerFromAgent(agent: string | undefined): string {
  const name = (agent ?? '').split('/')[0] ?? '';
  return name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '').slice(0, managerMaxLength) || 'unknown';
}

/** The options of a write as its query gives them. Throws 422 for what cannot be. */
export function writeOptions(exchange: ApiExchange, path: ResourcePath, kind: OptionsKind): WriteOptions {
  const query = exchange.url.searchParams;
  const dryRuns = query.getAll('dryRun').filter((d) => d !== '');
  const manager = query.get('fieldManager') ?? '';
  const validation = validationOf(query);
  const errors = [...dryRunErrors(dryRuns), ...managerErrors(manager)];
  if (validation === undefined) {
    errors.push(
      fieldError.notSupported('fieldValidation', query.get('fieldValidation') ?? '', [
        '',
        'Ignore',
        'Strict',
        'Warn',
      ]),
    );
  }
  if (errors.length > 0) throw apiError.invalid(kind, 'meta.k8s.io', '', errors);
  return {
    user: exchange.user,
    manager: manager === '' ? managerFromAgent(exchange.request.headers['user-agent']) : manager,
    isDryRun: dryRuns.length > 0,
    fieldValidation: validation ?? 'Warn',
    warnings: exchange.warnings,
    subresource: path.subresource,
  };
}

/** Whether an apply takes fields by force. Throws 422 where the options do not fit the patch type. */
export function applyForce(query: URLSearchParams, isApply: boolean): boolean {
  const errors: FieldError[] = [];
  const isForced = queryFlag(query, 'force');
  if (!isApply && query.has('force')) {
    errors.push(fieldError.forbidden('force', 'may not be specified for non-apply patch'));
  }
  if (isApply && (query.get('fieldManager') ?? '') === '') {
    errors.push(fieldError.required('fieldManager', 'is required for apply patch'));
  }
  if (errors.length > 0) throw apiError.invalid('PatchOptions', 'meta.k8s.io', '', errors);
  return isForced;
}
