const form = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E)|[eE]([+-]?\d+))?$/;
const factors: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** The number a Kubernetes quantity (`100m`, `2Gi`, `1e3`, 2) stands for; undefined when it is none. */
export function parseQuantity(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  const match = typeof value === 'string' ? form.exec(value) : null;
  if (match === null) return undefined;
  const base = Number(match[1]);
  if (match[3] !== undefined) return base * 10 ** Number(match[3]);
  return base * (match[2] === undefined ? 1 : (factors[match[2]] ?? 1));
}

const decimalSuffixes = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E'] as const;
const binarySuffixes = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'] as const;
const nano = 1_000_000_000n;
const maxQuantity = 2n ** 63n - 1n;

/**
 * A quantity in the one form Kubernetes stores: the largest suffix of its
 * kind (decimal, binary or exponent) that leaves an integer, finer parts than
 * a billionth rounded away from zero. Undefined when the value is no quantity.
 */
export function canonicalQuantity(value: unknown): string | undefined {
  if (typeof value !== 'string' && typeof value !== 'number') return undefined;
  const match = form.exec(String(value));
  if (match === null) return undefined;
  const [, digits = '', suffix = '', exponent] = match;
  const isBinary = suffix.endsWith('i');
  const amount = inNanos(digits, suffix, exponent);
  const isWhole = amount % nano === 0n;
  if (isBinary && isWhole && (amount <= -1024n * nano || amount >= 1024n * nano)) {
    return scaled(amount / nano, 1024n, binarySuffixes);
  }
  if (exponent === undefined) return scaled(amount, 1000n, decimalSuffixes);
  // The exponent form: multiples of three, the largest that leaves an integer.
  if (amount === 0n) return '0';
  let rest = amount;
  let power = -9;
  while (rest % 1000n === 0n) {
    rest /= 1000n;
    power += 3;
  }
  return power === 0 ? String(rest) : `${rest}e${power}`;
}

function inNanos(digits: string, suffix: string, exponent: string | undefined): bigint {
  const isNegative = digits.startsWith('-');
  const [whole = '', fraction = ''] = digits.replace(/^[+-]/, '').split('.');
  let numerator = BigInt(`${whole}${fraction}` || '0');
  // Scaled by powers of ten between billionths and beyond the largest quantity; more would only cost time.
  let tens = 9 - fraction.length;
  if (exponent !== undefined) tens += Math.max(-60, Math.min(60, Number(exponent)));
  if (suffix.endsWith('i')) {
    numerator *= 1024n ** BigInt(binarySuffixes.indexOf(suffix as (typeof binarySuffixes)[number]));
  } else if (suffix !== '') {
    tens += (decimalSuffixes.indexOf(suffix as (typeof decimalSuffixes)[number]) - 3) * 3;
  }
  let amount: bigint;
  if (tens >= 0) amount = numerator * 10n ** BigInt(tens);
  else {
    const divisor = 10n ** BigInt(-tens);
    amount = numerator / divisor + (numerator % divisor === 0n ? 0n : 1n);
  }
  if (amount > maxQuantity * nano) amount = maxQuantity * nano;
  return isNegative ? -amount : amount;
}

function scaled(amount: bigint, step: bigint, suffixes: readonly string[]): string {
  if (amount === 0n) return '0';
  let rest = amount;
  let i = 0;
  while (i < suffixes.length - 1 && rest % step === 0n) {
    rest /= step;
    i++;
  }
  return `${rest}${suffixes[i] ?? ''}`;
}
