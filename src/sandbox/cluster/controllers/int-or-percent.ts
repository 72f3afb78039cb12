/** Resolves a count or a percentage of `total`; percentages round up or down as the caller says. Unreadable values count as 0. */
export function resolveIntOrPercent(
  value: number | string | undefined,
  total: number,
  rounding: 'up' | 'down',
): number {
  if (value === undefined) return 0;
  if (typeof value === 'number') return value;
  const match = /^(\d+)(%?)$/.exec(value.trim());
  if (match === null) return 0;
  const amount = Number(match[1]);
  if (match[2] === '') return amount;
  const share = (amount * total) / 100;
  return rounding === 'up' ? Math.ceil(share) : Math.floor(share);
}
