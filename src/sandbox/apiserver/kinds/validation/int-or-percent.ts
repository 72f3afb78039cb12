import type { Json } from '../../../base/json.js';
import { type Checks, nonNegativeDetail } from './checks.js';

const percent = /^(\d+)%$/;

/** A count or a percentage such as `25%`; not negative. */
export function intOrPercent(checks: Checks, value: Json | undefined, path: string): void {
  if (typeof value === 'number') checks.nonNegative(value, path);
  else if (typeof value === 'string' && !percent.test(value)) {
    checks.invalid(
      path,
      value,
      "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
    );
  } else if (value !== undefined && typeof value !== 'string') checks.invalid(path, value, nonNegativeDetail);
}

/** A percentage above 100 makes no sense where a share of the whole is meant. */
export function atMost100Percent(checks: Checks, value: Json | undefined, path: string): void {
  const match = typeof value === 'string' ? percent.exec(value) : null;
  if (match !== null && Number(match[1]) > 100) checks.invalid(path, value, 'must not be greater than 100%');
}

/** The number in a count or a percentage; 0 for anything else. */
export function amountOf(value: Json | undefined): number {
  if (typeof value === 'number') return value;
  return typeof value === 'string' ? Number(percent.exec(value)?.[1] ?? 0) : 0;
}
