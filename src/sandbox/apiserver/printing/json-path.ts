import { isObject, type Json } from '../../base/json.js';

type Step =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'index'; readonly index: number }
  | { readonly kind: 'all' }
  | {
      readonly kind: 'filter';
      readonly path: readonly Step[];
      readonly operator: string;
      readonly value: Json;
    };

/** Parses the JSONPath dialect of printer columns; undefined when it is not one. */
export function parseJsonPath(text: string): readonly Step[] | undefined {
  const steps: Step[] = [];
  let rest = text.trim().replace(/^\$/, '');
  while (rest !== '') {
    const key = /^\.((?:[^.[\]\\]|\\.)+)/.exec(rest);
    const quoted = /^\[(?:'([^']*)'|"([^"]*)")\]/.exec(rest);
    const index = /^\[(-?\d+)\]/.exec(rest);
    const all = /^(?:\[\*\]|\.\*)/.exec(rest);
    const filter = /^\[\?\(\s*@([^=!<>\s]*)\s*(==|!=)\s*(?:'([^']*)'|"([^"]*)"|([^)'"\s]+))\s*\)\]/.exec(
      rest,
    );
    if (all !== null) steps.push({ kind: 'all' });
    else if (key !== null) steps.push({ kind: 'key', key: (key[1] ?? '').replace(/\\(.)/g, '$1') });
    else if (quoted !== null) steps.push({ kind: 'key', key: quoted[1] ?? quoted[2] ?? '' });
    else if (index !== null) steps.push({ kind: 'index', index: Number(index[1]) });
    else if (filter !== null) {
      const path = parseJsonPath(filter[1] ?? '');
      if (path === undefined) return undefined;
      const literal = filter[3] ?? filter[4] ?? parseLiteral(filter[5] ?? '');
      steps.push({ kind: 'filter', path, operator: filter[2] ?? '==', value: literal });
    } else return undefined;
    rest = rest.slice((all ?? key ?? quoted ?? index ?? filter)?.[0].length ?? rest.length);
  }
  return steps;
}

function parseLiteral(text: string): Json {
  if (text === 'true' || text === 'false') return text === 'true';
  return text !== '' && !Number.isNaN(Number(text)) ? Number(text) : text;
}

/** Every value that a parsed path leads to. */
export function evaluateJsonPath(value: Json, steps: readonly Step[]): Json[] {
  let current: Json[] = [value];
  for (const step of steps) current = current.flatMap((v) => follow(v, step));
  return current;
}

function follow(value: Json, step: Step): Json[] {
  switch (step.kind) {
    case 'key': {
      const child = isObject(value) && Object.hasOwn(value, step.key) ? value[step.key] : undefined;
      return child === undefined ? [] : [child];
    }
    case 'index': {
      const item: Json | undefined = Array.isArray(value)
        ? (value.at(step.index) as Json | undefined)
        : undefined;
      return item === undefined ? [] : [item];
    }
    case 'all':
      if (Array.isArray(value)) return value as Json[];
      return isObject(value) ? Object.values(value).filter((v) => v !== undefined) : [];
    case 'filter':
      if (!Array.isArray(value)) return [];
      return (value as Json[]).filter((v) => {
        const isEqual = evaluateJsonPath(v, step.path).some((x) => x === step.value);
        return step.operator === '==' ? isEqual : !isEqual;
      });
  }
}
