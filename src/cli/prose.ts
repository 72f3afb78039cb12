import { stripVTControlCharacters } from 'node:util';

/** A label and what there is to say; an empty label goes on with the one above. */
export type Fact = readonly [label: string, text: string];

/** Where running text stands. All counts are columns. */
export interface ProseLayout {
  /** Before the first line. Default 0. */
  readonly indent?: number;
  /** Before every further line. Default: as the first. */
  readonly hanging?: number;
  /** Room that text is given at least, whatever the width. Default 24. */
  readonly least?: number;
}

/** Narrower than this, words one below the other are harder to read than lines that run over the margin. */
const leastText = 24;

/**
 * Wraps text at a margin of `width` columns (infinite: not at all). Lines break between words only: a word longer
 * than its line runs over the margin. What stands in double quotes or backticks, such as a command to copy, stays
 * in one piece when a line has room for it. Line breaks in the text stay; colors take no room.
 */
export function wrapProse(
  text: string,
  width: number,
  { indent = 0, hanging = indent, least = leastText }: ProseLayout = {},
): string {
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    const own = /^ */.exec(paragraph)?.[0].length ?? 0;
    let margin = own + (lines.length === 0 ? indent : hanging);
    let line = '';
    for (const word of pieces(paragraph, width - margin, Math.max(width - own - hanging, least))) {
      const longer = line === '' ? word : `${line} ${word}`;
      if (line !== '' && columnsOf(longer) > Math.max(width - margin, least)) {
        lines.push(`${' '.repeat(margin)}${line}`);
        margin = own + hanging;
        line = word;
      } else line = longer;
    }
    lines.push(line === '' ? '' : `${' '.repeat(margin)}${line}`);
  }
  return lines.join('\n');
}

/** Labels and texts below each other: the texts aligned, and wrapped beside the labels. */
export function alignFacts(
  facts: readonly Fact[],
  {
    width,
    indent,
    paint = (label) => label,
  }: { width: number; indent: number; paint?: (label: string) => string },
): string {
  const hanging = indent + Math.max(0, ...facts.map(([label]) => columnsOf(label))) + 2;
  return facts
    .map(([label, text]) => {
      const before = `${' '.repeat(indent)}${paint(label)}${' '.repeat(hanging - indent - columnsOf(label))}`;
      return `${before}${wrapProse(text, width, { indent: hanging }).slice(hanging)}`.trimEnd();
    })
    .join('\n');
}

/** Columns that text takes on a terminal: names and sentences of ours, without wide characters. */
export function columnsOf(text: string): number {
  return stripVTControlCharacters(text).length;
}

/** What no line break may part: a text that fits as it is; else words, and quoted phrases that fit on a line. */
function pieces(paragraph: string, firstRoom: number, room: number): string[] {
  const text = paragraph.trim();
  if (columnsOf(text) <= firstRoom) return [text];
  const quoted = /(?:(?<![^\s([{])(?:"[^"]*"|`[^`]*`)|\S)+/g;
  return (text.match(quoted) ?? []).flatMap((piece) =>
    columnsOf(piece) <= room ? [piece] : piece.split(/\s+/),
  );
}

/** The text with a capital at its beginning. */
export function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
