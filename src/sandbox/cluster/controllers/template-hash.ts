import { createHash } from 'node:crypto';

/** No vowels and no look-alikes, so that a hash never spells a word. */
const alphabet = 'bcdfghjklmnpqrstvwxz2456789';
const hashLength = 10;

/** A short name-safe hash of any JSON value; equal values have equal hashes whatever the order of their keys. */
export function hashOf(value: unknown): string {
  const digest = createHash('sha256').update(canonicalJson(value)).digest();
  let text = '';
  for (let i = 0; i < hashLength; i++) text += alphabet[(digest[i] ?? 0) % alphabet.length] ?? '';
  return text;
}

/** JSON with sorted keys and without undefined and null, which servers add and drop freely. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(canonical(value)) ?? 'null';
}

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value)
    .filter(([, each]) => each !== undefined && each !== null)
    .map(([key, each]): [string, unknown] => [key, canonical(each)])
    .toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return Object.fromEntries(entries);
}
