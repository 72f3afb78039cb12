/** Tables of netfilter that the mesh writes to. */
export type TableName = 'mangle' | 'nat' | 'raw';

/** IP family of a rule set: iptables and ip6tables keep separate tables. */
export type Family = 'v4' | 'v6';

/** One rule of a chain, in the words of iptables (`-p tcp ! -d 127.0.0.1/32 -j REDIRECT --to-ports 15006`). */
export interface Rule {
  readonly table: TableName;
  readonly chain: string;
  readonly spec: string;
}

/** The rules found in, or wanted for, one network namespace and family. */
export interface RuleSet {
  /** Chains of our own, as `table/chain`. */
  readonly chains: ReadonlySet<string>;
  readonly rules: readonly Rule[];
}

/** Flags that take no value; every other option takes the words up to the next option. */
const moduleFlags = new Set(['-m', '--match']);

/** Spellings that iptables versions and backends use for the same option. */
const aliases: Readonly<Record<string, string>> = {
  '--source': '-s',
  '--destination': '-d',
  '--protocol': '-p',
  '--jump': '-j',
  '--in-interface': '-i',
  '--out-interface': '-o',
  '--to-port': '--to-ports',
  '--destination-port': '--dport',
  '--source-port': '--sport',
};

/**
 * A form in which two spellings of the same rule are equal: options sorted, module
 * loads (`-m tcp`) dropped, since iptables-save adds and reorders both.
 */
export function canonicalRule(spec: string): string {
  const words = splitWords(spec);
  const options: string[] = [];
  let target: string[] = [];
  for (let i = 0; i < words.length; ) {
    let negation = '';
    if (words[i] === '!') {
      negation = '! ';
      i++;
    }
    const name = words[i] ?? '';
    const option = aliases[name] ?? name;
    i++;
    const values: string[] = [];
    while (i < words.length && !isOption(words[i] ?? '')) values.push(words[i++] ?? '');
    if (moduleFlags.has(option)) continue;
    const text = `${negation}${[option, ...values].join(' ')}`;
    if (option === '-j') target = [text];
    else if (target.length > 0) target.push(text);
    else options.push(text);
  }
  return [...options.sort(), ...target.slice(0, 1), ...target.slice(1).sort()].join(' ');
}

function isOption(word: string): boolean {
  return word === '!' || /^--?[A-Za-z]/.test(word);
}

/** Splits on spaces, keeping quoted strings (comments) together; iptables-save quotes them only when it must. */
function splitWords(text: string): string[] {
  return [...text.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map((m) => m[2] ?? m[1] ?? '');
}
