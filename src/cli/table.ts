import type { TableRows } from './command.js';
import { columnsOf, wrapProse } from './prose.js';

const gap = '   ';
const noLines = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: gap,
};

/** Room that the last column needs for wrapped text before another column has to go, in columns. */
const leastWrapped = 24;

/** How tables are laid out. */
export interface TableLayout {
  /** `-o wide`: every column, whatever the width. */
  readonly wide: boolean;
  /** Columns of the terminal; infinite where nothing is to be cut to size. */
  readonly width: number;
}

/** A function that lays rows out in plain columns, as kubectl does: no lines, upper-case headers. */
export async function makeTableRenderer(layout: TableLayout): Promise<(rows: TableRows) => string> {
  const { default: Table } = await import('cli-table3');
  return (rows) => {
    const { indent = 0 } = rows;
    const table = new Table({
      chars: noLines,
      style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
    });
    table.push(...fitted(rows, { ...layout, width: layout.width - indent }));
    const margin = ' '.repeat(indent);
    return table
      .toString()
      .split('\n')
      .map((line) => `${margin}${line}`.trimEnd())
      .join('\n');
  };
}

/** Header and rows with the columns that have room, the last one wrapped where it is too long. */
function fitted(
  { head, rows, wideOnly = [], optional = [] }: TableRows,
  { wide, width }: TableLayout,
): string[][] {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => columnsOf(row[column] ?? ''))));
  let shown = [...head.keys()].filter((column) => wide || !wideOnly.includes(head[column] ?? ''));
  /** What stands before the last column, with its gap. */
  const before = (): number =>
    shown.slice(0, -1).reduce((sum, column) => sum + (widths[column] ?? 0) + gap.length, 0);
  const last = (): number => widths[shown.at(-1) ?? -1] ?? 0;
  for (const header of wide ? [] : optional) {
    if (before() + Math.min(last(), leastWrapped) <= width) break;
    shown = shown.filter((column) => head[column] !== header);
  }
  const room = Math.max(width - before(), leastWrapped);
  return all.map((row) =>
    shown.map((column, at) => {
      const text = row[column] ?? '';
      return at === shown.length - 1 && columnsOf(text) > room ? wrapProse(text, room) : text;
    }),
  );
}
