/** `1 pod`, `0 pods`, `2 more policies`: a count and what is counted, its last word in the singular. */
export function counted(count: number, noun: string): string {
  return `${count} ${pluralFor(count, noun)}`;
}

/** The noun for so many of it: `proxy` for one, `proxies` for any other count. */
export function pluralFor(count: number, noun: string): string {
  if (count === 1) return noun;
  if (/(?:s|x|ch|sh)$/.test(noun)) return `${noun}es`;
  return /[^aeiou]y$/.test(noun) ? `${noun.slice(0, -1)}ies` : `${noun}s`;
}
