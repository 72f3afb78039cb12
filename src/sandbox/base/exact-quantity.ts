/** How a quantity was written, which is how sums with it are written. */
export type QuantityFormat = 'DecimalSI' | 'BinarySI' | 'DecimalExponent';

const form = /^([+-]?)(\d+\.?\d*|\.\d+)(?:(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E)|[eE]([+-]?\d{1,3}))?$/;
const scale = 9;
const one = 10n ** BigInt(scale);
const decimalExponents: Readonly<Record<string, number>> = {
  n: -9,
  u: -6,
  m: -3,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
}; // prettier-ignore
const decimalSuffixes: Readonly<Record<number, string>> = {
  '-9': 'n',
  '-6': 'u',
  '-3': 'm',
  0: '',
  3: 'k',
  6: 'M',
  9: 'G',
  12: 'T',
  15: 'P',
  18: 'E',
}; // prettier-ignore
const binarySuffixes = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'] as const;
/** Kubernetes caps what it parses here, as 64-bit integers end there. */
const cap = (2n ** 63n - 1n) * one;
const textMax = 256;

/** A Kubernetes quantity without rounding: a whole number of billionths. */
export class ExactQuantity {
  readonly nano: bigint;
  readonly format: QuantityFormat;

  constructor(nano: bigint, format: QuantityFormat = 'DecimalSI') {
    this.nano = nano > cap ? cap : nano < -cap ? -cap : nano;
    this.format = format;
  }

  static readonly zero = new ExactQuantity(0n);

  /** A whole number, such as a count of objects. */
  static of(count: number): ExactQuantity {
    return new ExactQuantity(BigInt(count) * one);
  }

  /** Parses `100m`, `2Gi`, `1e3`, 2; undefined for anything else. Finer than billionths is rounded up. */
  static parse(value: unknown): ExactQuantity | undefined {
    if (typeof value === 'number')
      return Number.isFinite(value) ? ExactQuantity.parse(String(value)) : undefined;
    const match = typeof value === 'string' && value.length <= textMax ? form.exec(value) : null;
    if (match === null) return undefined;
    const [, sign, digits = '', suffix = '', exponentText] = match;
    const [whole = '', fraction = ''] = digits.split('.');
    const binary = binarySuffixes.indexOf(suffix as (typeof binarySuffixes)[number]);
    const isBinary = suffix !== '' && binary > 0;
    const exponent = exponentText === undefined ? (decimalExponents[suffix] ?? 0) : Number(exponentText);
    let nano = BigInt(`${whole}${fraction}` || '0') * (isBinary ? 1024n ** BigInt(binary) : 1n);
    const shift = scale + (isBinary ? 0 : exponent) - fraction.length;
    if (shift >= 0) nano *= 10n ** BigInt(shift);
    else {
      const divisor = 10n ** BigInt(-shift);
      nano = (nano + divisor - 1n) / divisor;
    }
    const format = exponentText !== undefined ? 'DecimalExponent' : isBinary ? 'BinarySI' : 'DecimalSI';
    return new ExactQuantity(sign === '-' ? -nano : nano, format);
  }

  get isZero(): boolean {
    return this.nano === 0n;
  }

  /** Whether there is no fraction. */
  get isInteger(): boolean {
    return this.nano % one === 0n;
  }

  /** The whole part, rounded up as Kubernetes' Value() does. */
  get value(): bigint {
    return this.nano >= 0n ? (this.nano + one - 1n) / one : this.nano / one;
  }

  toNumber(): number {
    return Number(this.nano / one) + Number(this.nano % one) / Number(one);
  }

  plus(other: ExactQuantity): ExactQuantity {
    return new ExactQuantity(this.nano + other.nano, this.isZero ? other.format : this.format);
  }

  minus(other: ExactQuantity): ExactQuantity {
    return new ExactQuantity(this.nano - other.nano, this.isZero ? other.format : this.format);
  }

  /** Negative, zero or positive, as for sorting. */
  compare(other: ExactQuantity): number {
    return this.nano < other.nano ? -1 : this.nano > other.nano ? 1 : 0;
  }

  /** The canonical form: no fraction, the largest suffix that allows that. */
  toString(): string {
    if (this.nano === 0n) return '0';
    const sign = this.nano < 0n ? '-' : '';
    const size = this.nano < 0n ? -this.nano : this.nano;
    // A fraction of a binary unit is written in decimals, so that none of it is lost.
    if (this.format === 'BinarySI' && size >= 1024n * one && this.isInteger) {
      let number = size / one;
      let power = 0;
      while (number % 1024n === 0n && power < binarySuffixes.length - 1) {
        number /= 1024n;
        power++;
      }
      return `${sign}${number}${binarySuffixes[power] ?? ''}`;
    }
    let number = size;
    let exponent = -scale;
    while (number % 1000n === 0n && exponent < 18) {
      number /= 1000n;
      exponent += 3;
    }
    if (this.format === 'DecimalExponent') return `${sign}${number}${exponent === 0 ? '' : `e${exponent}`}`;
    return `${sign}${number}${decimalSuffixes[exponent] ?? ''}`;
  }
}

/** A quantity in the one form in which Kubernetes stores it; undefined when the value is none. */
export function canonicalQuantity(value: unknown): string | undefined {
  return ExactQuantity.parse(value)?.toString();
}
