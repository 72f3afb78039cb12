import type { TextView } from './command.js';
import type { Io } from './io.js';
import { alignFacts, wrapProse } from './prose.js';
import { makeStyle, wantsColor } from './style.js';
import { widthOf } from './width.js';

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
    facts: (facts, { indent = 0 } = {}) =>
      alignFacts(facts, { width, indent, paint: (label) => style.bold(label) }),
  };
}
