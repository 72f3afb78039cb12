/** Severity, most severe first; `off` silences a scope. */
const levels = ['off', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof levels)[number];

export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
}

const filter = { fallback: 'info' as LogLevel, scopes: new Map<string, LogLevel>() };
/** Scopes that something writes to. */
const scopes = new Set<string>();
const output: { isJson: boolean; write: (line: string) => void } = {
  isJson: process.env['LOG_FORMAT'] === 'json',
  write: (line) => process.stdout.write(line),
};

/**
 * A logger whose lines look as the node proxy's do upstream: RFC 3339 time, level,
 * scope, message, `key=value` fields, tab separated; or one JSON object a line with
 * LOG_FORMAT=json. Callers never pass secrets.
 */
export function createLogger(scope: string): Logger {
  scopes.add(scope);
  const log = (level: LogLevel) => (message: string, fields?: LogFields) => {
    const limit = filter.scopes.get(scope) ?? filter.fallback;
    if (levels.indexOf(level) > levels.indexOf(limit)) return;
    output.write(
      output.isJson
        ? jsonLine({ level, scope, message, fields })
        : textLine({ level, scope, message, fields }),
    );
  };
  return { error: log('error'), warn: log('warn'), info: log('info'), debug: log('debug') };
}

/**
 * Sets levels from a comma list of `level`, `scope=level` or `scope:level`; they add
 * to what is set unless `reset`. With `known`, nothing may name a scope that no logger
 * has: not at the start, when loggers are yet to be made. Returns the offending part
 * when it cannot be read, in which case nothing changes.
 */
export function setLogLevel(
  spec: string,
  options: { reset?: boolean; known?: boolean } = {},
): string | undefined {
  const parsed: { scope?: string; level: LogLevel }[] = [];
  for (const part of spec.split(',').filter((p) => p !== '')) {
    const [a = '', b] = part.split(/[=:]/);
    const level = levels.find((l) => l === (b ?? a).toLowerCase());
    if (level === undefined) return part;
    if (options.known === true && b !== undefined && !scopes.has(a)) return part;
    parsed.push(b === undefined ? { level } : { scope: a, level });
  }
  if (options.reset === true) {
    filter.scopes.clear();
    filter.fallback = 'info';
  }
  for (const p of parsed) {
    if (p.scope === undefined) filter.fallback = p.level;
    else filter.scopes.set(p.scope, p.level);
  }
  return undefined;
}

/** The filter in force, in the grammar of {@link setLogLevel}. */
export function currentLogLevel(): string {
  return [...[...filter.scopes].map(([s, l]) => `${s}=${l}`), filter.fallback].join(',');
}

/** The scopes that levels can be set for, in order. */
export function logScopes(): readonly string[] {
  return [...scopes].toSorted();
}

/** Sends lines elsewhere than standard output (a file, standard error). */
export function setLogOutput(write: (line: string) => void): void {
  output.write = write;
}

interface Line {
  readonly level: LogLevel;
  readonly scope: string;
  readonly message: string;
  readonly fields: LogFields | undefined;
}

function textLine({ level, scope, message, fields }: Line): string {
  const time = new Date().toISOString().replace('Z', '000Z');
  const rest = Object.entries(fields ?? {})
    .filter(([, v]) => v !== undefined)
    .map(([k, v]) => `${k}=${textValue(v)}`)
    .join(' ');
  return `${time}\t${level}\t${scope}\t${singleLine(message)}${rest === '' ? '' : `\t${rest}`}\n`;
}

function jsonLine({ level, scope, message, fields }: Line): string {
  return `${JSON.stringify({ level, time: new Date().toISOString(), scope, message, ...fields }, errorsAsText)}\n`;
}

/** Addresses and numbers are bare, other strings quoted. */
function textValue(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean')
    return String(value);
  const text =
    value instanceof Error ? value.message : typeof value === 'string' ? value : JSON.stringify(value);
  return /^[\d.:[\]a-f]+:\d+$/.test(text) ? text : JSON.stringify(text);
}

function errorsAsText(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  return value instanceof Error ? value.message : value;
}

/** A message that came from outside cannot forge a second line. */
function singleLine(text: string): string {
  return text.replace(/[\r\n\t]+/g, ' ');
}
