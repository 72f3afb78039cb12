const unitsNs: ReadonlyMap<string, bigint> = new Map([
  ['ns', 1n],
  ['us', 1_000n],
  ['\u00b5s', 1_000n], // micro sign
  ['\u03bcs', 1_000n], // Greek letter mu
  ['ms', 1_000_000n],
  ['s', 1_000_000_000n],
  ['m', 60_000_000_000n],
  ['h', 3_600_000_000_000n],
]);
const limitNs = 1n << 63n;

/** A duration in nanoseconds, or why a text is none, in Go's words. */
export type ParsedDuration =
  | { readonly ns: bigint; readonly problem?: undefined }
  | { readonly ns?: undefined; readonly problem: string };

/**
 * Parses what Go's time.ParseDuration does: a sign and amounts with their units, such as `300ms`, `-1.5h` or
 * `1m0s`; the units are ns, us (or with a micro sign), ms, s, m and h. Only `0` needs none.
 */
export function parseGoDuration(text: string): ParsedDuration {
  const invalid = { problem: `time: invalid duration ${JSON.stringify(text)}` };
  const isNegative = text.startsWith('-');
  let rest = /^[+-]/.test(text) ? text.slice(1) : text;
  if (rest === '0') return { ns: 0n };
  if (rest === '') return invalid;
  let total = 0n;
  while (rest !== '') {
    const [amount = '', whole = '', fraction = ''] = /^(\d*)(?:\.(\d*))?/.exec(rest) ?? [];
    if (whole === '' && fraction === '') return invalid;
    rest = rest.slice(amount.length);
    const [unit = ''] = /^[^\d.]+/.exec(rest) ?? [];
    if (unit === '') return { problem: `time: missing unit in duration ${JSON.stringify(text)}` };
    const unitNs = unitsNs.get(unit);
    if (unitNs === undefined)
      return {
        problem: `time: unknown unit ${JSON.stringify(unit)} in duration ${JSON.stringify(text)}`,
      };
    rest = rest.slice(unit.length);
    // Fractions in double precision, as in Go: the last digits of long ones round.
    const part = Number(fraction) * (Number(unitNs) / 10 ** fraction.length);
    total += BigInt(whole) * unitNs + BigInt(Math.trunc(part));
    if (total > limitNs || (total === limitNs && !isNegative)) return invalid;
  }
  return { ns: isNegative ? -total : total };
}

/** Milliseconds, fractions included, of a duration as Go writes it; undefined for any other text. */
export function goDurationMs(text: string): number | undefined {
  const { ns } = parseGoDuration(text);
  return ns === undefined ? undefined : Number(ns) / 1e6;
}

/** A duration in nanoseconds as Go's time.Duration prints it: `1h0m0s`, `1.5s`, `250ms`, `0s`. */
export function formatGoDuration(ns: bigint): string {
  const sign = ns < 0n ? '-' : '';
  const size = ns < 0n ? -ns : ns;
  if (size === 0n) return '0s';
  if (size < 1_000n) return `${sign}${size}ns`;
  if (size < 1_000_000n) return `${sign}${decimal(size, 3)}µs`;
  if (size < 1_000_000_000n) return `${sign}${decimal(size, 6)}ms`;
  const minutes = size / 60_000_000_000n;
  const seconds = `${decimal(size % 60_000_000_000n, 9)}s`;
  if (minutes === 0n) return `${sign}${seconds}`;
  const hours = minutes / 60n;
  return hours === 0n ? `${sign}${minutes}m${seconds}` : `${sign}${hours}h${minutes % 60n}m${seconds}`;
}

/** A number shifted by decimal places, without trailing zeros. */
function decimal(value: bigint, places: number): string {
  const unit = 10n ** BigInt(places);
  const fraction = (value % unit).toString().padStart(places, '0').replace(/0+$/, '');
  return fraction === '' ? `${value / unit}` : `${value / unit}.${fraction}`;
}
