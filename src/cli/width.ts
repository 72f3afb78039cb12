import type { Io } from './io.js';

/** Terminals narrower or wider than this get lines as if they were not. */
const widths = { least: 60, most: 250 } as const;

/** Of terminals that do not tell. */
const usualWidth = 80;

/**
 * Columns of the terminal that a stream ends at. COLUMNS counts where the terminal does not tell, and makes output
 * into files and pipes narrow on purpose; without it that is as wide as it comes, for `grep` and `awk`.
 */
export function widthOf(isTty: boolean, { columns, env }: Pick<Io, 'columns' | 'env'>): number {
  const asked = Number(env['COLUMNS']);
  const known = (isTty ? columns : undefined) || (asked > 0 ? asked : undefined);
  const width = known ?? (isTty ? usualWidth : Number.POSITIVE_INFINITY);
  return width === Number.POSITIVE_INFINITY ? width : Math.min(Math.max(width, widths.least), widths.most);
}
