import { randomBytes } from 'node:crypto';

const suffixLength = 5;
/** Without vowels and look-alikes, so that no words come out. */
const alphabet = 'bcdfghjklmnpqrstvwxz2456789';
const nameMaxLength = 63;

/** A name from a generateName prefix and a random suffix. */
export function generatedName(prefix: string): string {
  const suffix = [...randomBytes(suffixLength)].map((b) => alphabet[b % alphabet.length] ?? 'x').join('');
  return prefix.slice(0, nameMaxLength - suffixLength) + suffix;
}
