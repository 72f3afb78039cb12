import type { TextView } from './command.js';
import type { Io } from './io.js';
import { columnsOf, wrapProse } from './prose.js';
import { makeStyle, wantsColor } from './style.js';

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

/** What renderers draw with, for results on stdout. */
export async function makeTextView(
  io: Io,
  options: { isWide: boolean; isColorAllowed: boolean },
): Promise<TextView> {
  const { makeTableRenderer } = await import('./table.js');
  const width = widthOf(io.isStdoutTty, io);
  const style = await makeStyle(wantsColor(io.isStdoutTty, options.isColorAllowed, io.env));
  return {
    wide: options.isWide,
    width,
    style,
    table: await makeTableRenderer({ wide: options.isWide, width }),
    prose: (text, layout) => wrapProse(text, width, layout),
    facts: (facts, { indent = 0 } = {}) => {
      const labelWidth = Math.max(0, ...facts.map(([label]) => columnsOf(label)));
      const hanging = indent + labelWidth + 2;
      return facts
        .map(([label, text]) => {
          const before = `${' '.repeat(indent)}${style.bold(label)}${' '.repeat(hanging - indent - columnsOf(label))}`;
          return `${before}${wrapProse(text, width, { indent: hanging }).slice(hanging)}`.trimEnd();
        })
        .join('\n');
    },
  };
}
