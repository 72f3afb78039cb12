import type { Style } from './command.js';

const plain: Style = {
  bold: (text) => text,
  dim: (text) => text,
  good: (text) => text,
  warn: (text) => text,
  bad: (text) => text,
};

/** Colors by meaning. chalk is loaded only when there is color to make. */
export async function makeStyle(hasColor: boolean): Promise<Style> {
  if (!hasColor) return plain;
  const { Chalk } = await import('chalk');
  const chalk = new Chalk({ level: 1 });
  return {
    bold: (text) => chalk.bold(text),
    dim: (text) => chalk.dim(text),
    good: (text) => chalk.green(text),
    warn: (text) => chalk.yellow(text),
    bad: (text) => chalk.red(text),
  };
}

/** Whether a stream gets color: only terminals, never with `--no-color`, NO_COLOR or TERM=dumb. */
export function wantsColor(isTty: boolean, isAllowed: boolean, env: NodeJS.ProcessEnv): boolean {
  return isTty && isAllowed && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
}
