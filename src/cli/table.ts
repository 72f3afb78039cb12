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

/** Header and rows with the columns that have room; where it is still too little, columns of several words wrap. */
function fitted(
  { head, rows, wideOnly = [], optional = [] }: TableRows,
  { wide, width }: TableLayout,
): string[][] {
  const all = [head, ...rows];
  const cells = (column: number): string[] => all.map((row) => row[column] ?? '');
  const widths = head.map((_, column) => Math.max(...cells(column).map(columnsOf)));
  let shown = [...head.keys()].filter((column) => wide || !wideOnly.includes(head[column] ?? ''));
  const widthOfColumn = (column: number): number => widths[column] ?? 0;
  /** What the last column, wrapped, lacks in room. */
  const shortage = (): number => {
    const before = shown.slice(0, -1).reduce((sum, column) => sum + widthOfColumn(column) + gap.length, 0);
    return before + Math.min(widthOfColumn(shown.at(-1) ?? -1), leastWrapped) - width;
  };
  for (const header of wide ? [] : optional) {
    if (shortage() <= 0) break;
    shown = shown.filter((column) => head[column] !== header);
  }
  const last = shown.at(-1) ?? -1;
  const longestWords = head.map((_, column) => Math.max(...cells(column).map(longestWord)));
  const slack = (column: number): number => widthOfColumn(column) - (longestWords[column] ?? 0);
  while (shortage() > 0) {
    const [loosest = -1] = shown.filter((column) => column !== last).toSorted((a, b) => slack(b) - slack(a));
    if (slack(loosest) <= 0) break;
    widths[loosest] = widthOfColumn(loosest) - 1;
  }
  widths[last] = Math.min(widthOfColumn(last), leastWrapped) - shortage();
  return all.map((row) =>
    shown.map((column) => {
      const text = row[column] ?? '';
      const room = widthOfColumn(column);
      return columnsOf(text) > room ? wrapProse(text, room, { least: 1 }) : text;
    }),
  );
}

/** Columns of the longest word of a text, with the spaces that the text begins with. */
function longestWord(text: string): number {
  const lead = /^ */.exec(text)?.[0].length ?? 0;
  return lead + Math.max(...text.trim().split(/\s+/).map(columnsOf));
}
