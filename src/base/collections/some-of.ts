/** `a, b, c and 4 more`: so many names at most, and how many are left. */
export function someOf(names: readonly string[], namedMax = 3): string {
  const rest = names.length - namedMax;
  return `${names.slice(0, namedMax).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}
