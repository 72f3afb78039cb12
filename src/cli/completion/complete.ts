import type {
  ArgumentSpec,
  CommandDefinition,
  CommandEntry,
  CompletionKind,
  OptionSpec,
} from '../command.js';
import { defaultFormats, globalOptions, outputOption } from '../global-options.js';
import { describedWordsAfter } from '../help.js';
import { transparentWords } from '../registry.js';
import { commandAt, flagNames, leadsToCommand } from '../resolve-command.js';

/** A word that can stand where the cursor is, and what it means. */
export interface Candidate {
  readonly value: string;
  readonly description?: string;
}

/** What a shell offers: words, or the files that it finds by itself. */
export type Completion = readonly Candidate[] | 'files';

/** Names of a kind, for an invocation with these flags (long names without dashes). */
export type NameSource = (
  kind: Exclude<CompletionKind, 'file'>,
  flags: ReadonlyMap<string, string>,
) => Promise<readonly string[]>;

/** An invocation up to the cursor. */
interface Typed {
  readonly path: string;
  readonly entry: CommandEntry | undefined;
  readonly definition: CommandDefinition | undefined;
  readonly operandCount: number;
  readonly flags: ReadonlyMap<string, string>;
  /** The flag whose value is being typed. */
  readonly pending: OptionSpec | undefined;
  /** Words from here on belong to another program. */
  readonly isPassed: boolean;
}

const kindsByWord: Readonly<Record<string, CompletionKind>> = {
  archive: 'file',
  code: 'code',
  context: 'context',
  file: 'file',
  gateway: 'gateway',
  namespace: 'namespace',
  node: 'node',
  pod: 'pod',
  profile: 'profile',
  service: 'service',
  waypoint: 'waypoint',
};

/** What can stand for the last of the words typed after `meshctl`, which may be empty. */
export async function complete(words: readonly string[], names: NameSource): Promise<Completion> {
  const { before, current } = withWholeFlags(words);
  const typed = await readTyped(before);
  if (typed.isPassed) return 'files';
  const specs = specsOf(typed.definition);
  if (typed.pending !== undefined) return valuesOf(typed.pending, { typed, names, current, prefix: '' });
  const [, flag, value] = /^(--[\w-]+)=(.*)$/.exec(current) ?? [];
  if (flag !== undefined && value !== undefined) {
    const spec = specs.find((s) => flagNames(s).includes(flag));
    if (spec === undefined) return [];
    return valuesOf(spec, { typed, names, current: value, prefix: `${flag}=` });
  }
  if (current.startsWith('-')) {
    const visible = specs.filter(({ hidden }) => hidden !== true);
    return starting(
      current,
      visible.flatMap((spec) =>
        longNames(spec).map((name) => ({ value: name, description: spec.description })),
      ),
    );
  }
  if (typed.entry === undefined) {
    if (typed.operandCount > 0) return [];
    return starting(
      current,
      describedWordsAfter(typed.path).map(([name, description]) => ({ value: name, description })),
    );
  }
  const args = typed.definition?.args ?? [];
  const last = args.at(-1);
  const arg = args[typed.operandCount] ?? (last?.name.includes('...') === true ? last : undefined);
  return arg === undefined ? [] : valuesOf(arg, { typed, names, current, prefix: '' });
}

/** bash parts words at `=`; here flag and value are one word again. */
function withWholeFlags(words: readonly string[]): { before: readonly string[]; current: string } {
  const whole: string[] = [];
  const isAtEquals = words.at(-1) === '=';
  for (const word of isAtEquals ? [...words, ''] : words) {
    const last = whole.at(-1) ?? '';
    // The value stays a word of its own: what the shell replaces is that word.
    if (word === '=' && last.startsWith('--')) continue;
    whole.push(word);
  }
  return { before: whole.slice(0, -1), current: whole.at(-1) ?? '' };
}

async function readTyped(words: readonly string[]): Promise<Typed> {
  let [path, operandCount] = ['', 0];
  let entry: CommandEntry | undefined;
  let definition: CommandDefinition | undefined;
  let pending: OptionSpec | undefined;
  const flags = new Map<string, string>();
  for (const word of words) {
    if (pending !== undefined) {
      flags.set(longName(pending), word);
      pending = undefined;
    } else if (word === '--') {
      return { path, entry, definition, operandCount, flags, pending, isPassed: true };
    } else if (word.startsWith('-') && word !== '-') {
      const [name = '', ...value] = word.split('=');
      const spec = specsOf(definition).find((s) => flagNames(s).includes(name));
      if (spec === undefined) continue;
      if (value.length > 0) flags.set(longName(spec), value.join('='));
      else if (spec.flags.includes('<')) pending = spec;
      else flags.set(longName(spec), '');
    } else if (path === '' && (word === 'help' || transparentWords.includes(word))) {
      continue;
    } else {
      const longer = path === '' ? word : `${path} ${word}`;
      if (leadsToCommand(longer)) {
        path = longer;
        entry = commandAt(path);
        definition = entry === undefined ? undefined : (await entry.load()).command;
      } else operandCount++;
    }
  }
  const limit = definition?.passThroughAfter;
  const isPassed = limit !== undefined && operandCount > limit;
  return { path, entry, definition, operandCount, flags, pending, isPassed };
}

/** Every flag that can stand there, the command's own first. */
function specsOf(definition: CommandDefinition | undefined): readonly OptionSpec[] {
  const formats = definition?.formats ?? defaultFormats;
  const own = definition?.options ?? [];
  return [...own, ...(formats.length === 0 ? [] : [outputOption(formats)]), ...globalOptions];
}

async function valuesOf(
  spec: OptionSpec | ArgumentSpec,
  at: { typed: Typed; names: NameSource; current: string; prefix: string },
): Promise<Completion> {
  const choices = 'choices' in spec ? spec.choices : undefined;
  if (choices !== undefined) {
    return starting(
      at.prefix + at.current,
      choices.map((value) => ({ value: at.prefix + value })),
    );
  }
  const kinds = kindsOf(spec);
  if (kinds.includes('file')) return 'files';
  const found = await Promise.all(
    kinds.flatMap((kind) => (kind === 'file' ? [] : [at.names(kind, at.typed.flags)])),
  );
  const values = [...new Set(found.flat())].toSorted();
  return starting(
    at.prefix + at.current,
    values.map((value) => ({ value: at.prefix + value })),
  );
}

function kindsOf(spec: OptionSpec | ArgumentSpec): readonly CompletionKind[] {
  if (spec.completes !== undefined)
    return typeof spec.completes === 'string' ? [spec.completes] : spec.completes;
  const notation = 'flags' in spec ? spec.flags : spec.name;
  const word = /[<[]([\w-]+)/.exec(notation)?.[1] ?? '';
  const named =
    'flags' in spec ? /--(?:[\w-]+-)?(namespace|node|waypoint|context)\b/.exec(notation)?.[1] : undefined;
  const kind = kindsByWord[word] ?? kindsByWord[named ?? ''];
  return kind === undefined ? [] : [kind];
}

function starting(current: string, candidates: readonly Candidate[]): readonly Candidate[] {
  return candidates.filter(({ value }) => value.startsWith(current));
}

function longNames(spec: OptionSpec): readonly string[] {
  return spec.flags.split(/[ ,|=[]+/).filter((part) => part.startsWith('--'));
}

function longName(spec: OptionSpec): string {
  return longNames(spec)[0]?.slice(2) ?? '';
}
