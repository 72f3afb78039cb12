import type { Environment } from '@marcbachmann/cel-js';
import { RE2JS } from 're2js';
import { charge, sizeCost } from '../budget.js';
import { define } from './define.js';

const compiled = new Map<string, RE2JS>();
const compiledMax = 1024;

/** Compiles a regular expression in RE2 syntax, which matches in linear time. */
function re2(pattern: string): RE2JS {
  const known = compiled.get(pattern);
  if (known !== undefined) return known;
  let re: RE2JS;
  try {
    re = RE2JS.compile(pattern);
  } catch (error) {
    throw new Error(`error parsing regexp: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (compiled.size >= compiledMax) compiled.clear();
  compiled.set(pattern, re);
  return re;
}

function chargeMatch(text: string, pattern: string): void {
  // What cel-go charges: both lengths count.
  charge(sizeCost(text.length) * (1 + pattern.length / 4));
}

/** `matches`, `find` and `findAll`, all through RE2. */
export function registerRegex(environment: Environment): void {
  const matches = (text: string, pattern: string): boolean => {
    chargeMatch(text, pattern);
    return re2(pattern).matcher(text).find();
  };
  const findAll = (text: string, pattern: string, limit = -1n): string[] => {
    chargeMatch(text, pattern);
    const found: string[] = [];
    const matcher = re2(pattern).matcher(text);
    while ((limit < 0n || found.length < Number(limit)) && matcher.find()) found.push(matcher.group() ?? '');
    return found;
  };
  define(environment, {
    'string.mAtches(string): bool': matches,
    'mAtches(string, string): bool': matches,
    'string.find(string): string': (text: string, pattern: string) => {
      chargeMatch(text, pattern);
      const matcher = re2(pattern).matcher(text);
      return matcher.find() ? (matcher.group() ?? '') : '';
    },
    'string.findAll(string): list<string>': findAll,
    'string.findAll(string, int): list<string>': findAll,
  });
}
