import type { CommandContext } from './context.js';
import type { Fact, ProseLayout } from './prose.js';

/** A flag of a command, in commander's notation. */
export interface OptionSpec {
  /** For example `-w, --wait`, `--name <name>`, `--set <path=value>`; `[=name]` makes the value optional. */
  readonly flags: string;
  readonly description: string;
  readonly defaultValue?: string | number | boolean;
  readonly choices?: readonly string[];
  /** The flag may be given several times; its values arrive as a list, in order. */
  readonly repeat?: boolean;
  /** Checked while parsing, so that a bad value is a usage error: `duration` arrives in milliseconds. */
  readonly type?: 'duration' | 'integer';
  /** Other spellings (istioctl's, for example); accepted but not listed in help. */
  readonly aliases?: readonly string[];
  readonly hidden?: boolean;
  /** What a shell offers for the value, where neither `choices` nor the word for it (`<namespace>`, `<file>`) says. */
  readonly completes?: CompletionKind | readonly CompletionKind[];
}

/** Kinds of names that shells complete. */
export type CompletionKind =
  | 'code'
  | 'context'
  | 'file'
  | 'gateway'
  | 'namespace'
  | 'node'
  | 'pod'
  | 'profile'
  | 'sandbox'
  | 'service'
  | 'waypoint'
  | 'ztunnel';

/** A positional argument; the last one may be variadic (`<namespace...>`). */
export interface ArgumentSpec {
  /** `<required>`, `[optional]`, `<many...>` or `[many...]`. */
  readonly name: string;
  readonly description: string;
  /** As for options. */
  readonly completes?: CompletionKind | readonly CompletionKind[];
}

/** What human-readable output may depend on. */
export interface TextView {
  /** `-o wide`. */
  readonly wide: boolean;
  /** Columns of the terminal, 60 to 250; infinite when the output is no terminal: then nothing is wrapped or dropped. */
  readonly width: number;
  readonly style: Style;
  /** Plain aligned columns, no wider than the terminal if words allow. */
  readonly table: (rows: TableRows) => string;
  /** Running text, wrapped at the margin between words. Color it afterwards. */
  readonly prose: (text: string, layout?: ProseLayout) => string;
  /** Labels and texts below each other, the texts aligned and wrapped beside the labels. */
  readonly facts: (facts: readonly Fact[], layout?: { readonly indent?: number }) => string;
}

/** Colors and marks; plain text when color is off. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
  warn(text: string): string;
  bad(text: string): string;
}

export interface TableRows {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Columns shown only with `-o wide`, by header. */
  readonly wideOnly?: readonly string[];
  /** Columns that a narrow terminal does without, by header, the first to go first. The last column shown is wrapped instead. */
  readonly optional?: readonly string[];
  /** Columns before each line. */
  readonly indent?: number;
}

/** What a command found or did. The frame prints it in the format the user asked for. */
export interface CommandResult {
  /** `kind` of the JSON document. */
  readonly kind: string;
  /** Body of the JSON document; `apiVersion` and `kind` are put in front of it, and are not its own to say. */
  readonly data: Readonly<Record<string, unknown>> & { readonly kind?: never; readonly apiVersion?: never };
  /** Human-readable form for `-o table` and `-o wide`. */
  readonly text: (view: TextView) => string;
  /** Further formats by name (`junit`, `sarif`, ...). They must be listed in the definition's `formats`. */
  readonly formats?: Readonly<Record<string, () => string>>;
  /** Default 0. */
  readonly exitCode?: number;
  /** What kept the rest from being found: told on standard error after the result, and its exit code is the command's. */
  readonly failure?: unknown;
}

/** Something a command asks of the API server, and what for. */
export interface CommandPermission {
  /** As in a Role: get, list, watch, create, patch, delete. */
  readonly verbs: readonly string[];
  /** Plural name, with a subresource where one is meant: `pods/portforward`; `*` for all of the group. */
  readonly resource: string;
  /** API group; without it the core group. */
  readonly group?: string;
  /** `namespace` is the one asked about, which is every one with `-A`. */
  readonly in: 'cluster' | 'namespace' | 'mesh namespace';
  /** What for, as the end of "to ...". */
  readonly why: string;
}

/**
 * One command: what its help says, what it takes, what it does. A module in
 * `commands/` exports one as `command`; registry.ts says where it hangs.
 */
export interface CommandDefinition {
  /** Long help; the one-line summary stands in the registry. */
  readonly description?: string;
  readonly args?: readonly ArgumentSpec[];
  readonly options?: readonly OptionSpec[];
  readonly examples?: readonly string[];
  /** What its user must be allowed in the cluster, as its help tells it; none for commands that need no cluster. */
  readonly permissions?: readonly CommandPermission[];
  /** Values of `-o`; default table, wide, json, yaml. The first is the default. */
  readonly formats?: readonly string[];
  /** `--timeout` when the user gives none, in milliseconds. Default 30 s. */
  readonly timeoutMs?: number;
  /** What follows this many arguments, or `--`, belongs to another program (`sandbox exec`). */
  readonly passThroughAfter?: number;
  /** Resolves to the result, or to a bare exit code when the command printed by itself through `context.write`. */
  readonly run: (context: CommandContext) => Promise<CommandResult | number>;
}

/** Where a command hangs, and how its code is loaded when it runs. */
export interface CommandEntry {
  /** Words after `meshctl`. */
  readonly path: string;
  /** One line for the command list. */
  readonly summary: string;
  /** Other complete paths that mean the same. */
  readonly aliases?: readonly string[];
  /** For programs, not for people: in no list and no documentation. */
  readonly hidden?: boolean;
  readonly load: () => Promise<{ readonly command: CommandDefinition }>;
}

/** `-y`: proceed without asking. */
export const yesOption: OptionSpec = {
  flags: '-y, --yes',
  description: 'proceed without asking',
  aliases: ['--skip-confirmation'],
};

/** `-A`: look at every namespace. */
export const allNamespacesOption: OptionSpec = {
  flags: '-A, --all-namespaces',
  description: 'look at all namespaces',
};

/** `--fail-on`: from which severity findings make the exit code 1. */
export const failOnOption: OptionSpec = {
  flags: '--fail-on <severity>',
  description: 'lowest severity that makes the exit code 1',
  choices: ['error', 'warning', 'info', 'never'],
  defaultValue: 'error',
};

/** `-f FILE|DIR|-`, repeatable. */
export const fileOption: OptionSpec = {
  flags: '-f, --filename <file>',
  description: 'YAML or JSON file, folder, or - for standard input; repeatable',
  repeat: true,
};
