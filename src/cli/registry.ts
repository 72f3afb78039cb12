import type { CommandDefinition } from './command.js';

/** Where a command hangs, and how its code is loaded when it runs. */
export interface CommandEntry {
  /** Words after `meshctl`. */
  readonly path: string;
  /** One line for the command list. */
  readonly summary: string;
  /** Other complete paths that mean the same. */
  readonly aliases?: readonly string[];
  readonly load: () => Promise<{ readonly command: CommandDefinition }>;
}

/** Words that mean "the same command without me": istioctl's experimental group. */
export const transparentWords: readonly string[] = ['experimental', 'x'];

/** Summaries of words that only group commands. */
export const groups: Readonly<Record<string, string>> = {};

/** Every command, in the order help shows them. */
export const commandEntries: readonly CommandEntry[] = [
  {
    path: 'version',
    summary: 'client, controller and data plane versions',
    load: () => import('./commands/version.js'),
  },
  {
    path: 'explain',
    summary: 'what an error code means and what to do',
    load: () => import('./commands/explain.js'),
  },
];
