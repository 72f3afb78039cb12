import type { TableRows } from './command.js';

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

/** A function that lays rows out in plain columns, as kubectl does: no lines, upper-case headers. */
export async function makeTableRenderer(view: { wide: boolean }): Promise<(rows: TableRows) => string> {
  const { default: Table } = await import('cli-table3');
  return ({ head, rows, wideOnly = [] }) => {
    const shown = head.map((h, i) => ({ h, i })).filter(({ h }) => view.wide || !wideOnly.includes(h));
    const table = new Table({
      chars: noLines,
      style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
    });
    table.push(shown.map(({ h }) => h));
    for (const row of rows) table.push(shown.map(({ i }) => row[i] ?? ''));
    return table
      .toString()
      .split('\n')
      .map((line) => line.trimEnd())
      .join('\n');
  };
}
