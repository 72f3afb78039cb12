import { Resolver } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { isIp } from '#base/net/address.js';
import { FlagError, parseFlags, reportUsage } from './flags.js';

const recordTypes = ['A', 'AAAA', 'CNAME', 'SRV', 'PTR', 'TXT', 'NS', 'SOA'] as const;
type RecordType = (typeof recordTypes)[number];
/** As in resolv.conf(5). */
const defaultNdots = 1;

/** Search list and ndots of a resolv.conf. */
export interface ResolvConf {
  readonly search: readonly string[];
  readonly ndots: number;
}

/** Reads the search list and ndots; the last `search` line counts, as in glibc. */
export function parseResolvConf(text: string): ResolvConf {
  let search: string[] = [];
  let ndots = defaultNdots;
  for (const line of text.split('\n')) {
    const words = line.trim().split(/\s+/);
    if (words[0] === 'search') search = words.slice(1);
    else if (words[0] === 'options') {
      for (const option of words.slice(1)) {
        const match = /^ndots:(\d+)$/.exec(option);
        if (match !== null) ndots = Math.min(Number(match[1]), 15);
      }
    }
  }
  return { search, ndots };
}

/** The names a resolver tries in order, as resolv.conf(5) describes; a trailing dot means exactly this name. */
export function candidateNames(name: string, conf: ResolvConf): readonly string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)];
  const searched = conf.search.filter((domain) => domain !== '.').map((domain) => `${name}.${domain}`);
  const dots = name.split('.').length - 1;
  return dots >= conf.ndots ? [name, ...searched] : [...searched, name];
}

/**
 * `tool dns NAME [--type A] [--server ADDRESS[:PORT]]`: prints `NAME TYPE VALUE`
 * per record. Exit code 6 when no candidate of the search list has the record.
 */
export async function dns(args: readonly string[]): Promise<number> {
  let name: string;
  let type: RecordType;
  let resolver: Resolver;
  try {
    const flags = parseFlags(args, { type: 'text', server: 'text', timeout: 'seconds' });
    const wanted = (flags.text('type') ?? 'A').toUpperCase();
    const known = recordTypes.find((t) => t === wanted);
    if (known === undefined) throw new FlagError(`--type is one of ${recordTypes.join(', ')}`);
    type = known;
    name = flags.positional[0] ?? '';
    if (name === '' || flags.positional.length > 1) throw new FlagError('expected one NAME');
    resolver = new Resolver({ timeout: (flags.number('timeout') ?? 3) * 1000, tries: 2 });
    const server = flags.text('server');
    if (server !== undefined) {
      try {
        resolver.setServers([server]);
      } catch {
        throw new FlagError(`--server needs ADDRESS[:PORT], not ${server}`);
      }
    }
  } catch (error) {
    return reportUsage('dns', error);
  }
  if (type === 'PTR' && isIp(name)) return print(name, 'PTR', () => resolver.reverse(name));
  let failure = 'ENOTFOUND';
  for (const candidate of candidateNames(name, readResolvConf())) {
    try {
      const records = await resolver.resolve(candidate, type);
      for (const record of Array.isArray(records) ? records : [records]) {
        process.stdout.write(`${candidate} ${type} ${renderRecord(record)}\n`);
      }
      return 0;
    } catch (error) {
      failure = codeOf(error);
      if (failure !== 'ENOTFOUND' && failure !== 'ENODATA') break;
    }
  }
  process.stderr.write(`tool dns: ${name} ${type}: ${failure}\n`);
  return failure === 'ETIMEOUT' ? 28 : 6;
}

async function print(name: string, type: string, query: () => Promise<readonly string[]>): Promise<number> {
  try {
    for (const value of await query()) process.stdout.write(`${name} ${type} ${value}\n`);
    return 0;
  } catch (error) {
    process.stderr.write(`tool dns: ${name} ${type}: ${codeOf(error)}\n`);
    return 6;
  }
}

function renderRecord(record: unknown): string {
  if (typeof record === 'string') return record;
  if (Array.isArray(record)) return record.map((part) => JSON.stringify(part)).join(' ');
  if (typeof record !== 'object' || record === null) return String(record);
  if ('priority' in record && 'weight' in record && 'port' in record && 'name' in record) {
    return `${String(record.priority)} ${String(record.weight)} ${String(record.port)} ${String(record.name)}`;
  }
  return JSON.stringify(record);
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}

function readResolvConf(): ResolvConf {
  try {
    return parseResolvConf(readFileSync('/etc/resolv.conf', 'utf8'));
  } catch {
    // Without the file there is no search list; the server then comes from --server.
    return { search: [], ndots: defaultNdots };
  }
}
