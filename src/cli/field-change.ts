import type { Style } from './command.js';

/** One field before and after, as two lines of a diff; `indent` goes before each. */
export function fieldChangeLines(
  change: { readonly path: string; readonly before?: unknown; readonly after?: unknown },
  style: Style,
  indent = '',
): string[] {
  const shown = (value: unknown) => JSON.stringify(value) ?? '(absent)';
  return [
    style.bad(`${indent}- ${change.path}: ${shown(change.before)}`),
    style.good(`${indent}+ ${change.path}: ${shown(change.after)}`),
  ];
}
