import { MeshError } from '#base/errors/mesh-error.js';
import type { Finding } from '../../inspect/findings/finding.js';
import { supportAt, type Unhonored, unhonoredIn } from '../../rules/support/assess.js';
import { valueSupport } from '../../rules/support/values.js';
import { isMap, scalarText, type ValueMap, valueAt } from '../../templates/values.js';

/** Components whose values stand below `values.NAME`. */
const components = ['pilot', 'cni', 'ztunnel'] as const;

/**
 * Refuses, before anything is installed, values that ask for what would be left open or would not work.
 * Values of components that are not installed are nobody's business.
 * @throws MESH0316 naming every one of them
 */
export function requireSupported(spec: ValueMap, platform: string): void {
  const isOff = (name: string): boolean => valueAt(spec, ['components', name, 'enabled']) !== true;
  const off = components.filter(isOff).map((name) => `values.${name}.`);
  const problems = unhonoredIn(valueSupport, spec).filter(
    ({ treatment, path }) => treatment === 'refused' && !off.some((prefix) => path.startsWith(prefix)),
  );
  const [first] = problems;
  if (first === undefined) return;
  const more = problems.slice(1).map((problem) => `${textOf(problem)} is not supported: ${problem.why}`);
  const evidence = [...more, ...(platform === '' ? [] : [`platform ${platform}`])].join('\n');
  throw new MeshError('MESH0316', `${textOf(first)} is not supported: ${first.why}`, {
    ...(evidence === '' ? {} : { evidence }),
    hint: hintFor(first),
  });
}

/** What the user is to know of the values given: those that nothing acts on. */
export function valueFindings(spec: ValueMap, given: ValueMap): readonly Finding[] {
  const unused = unhonoredIn(valueSupport, spec)
    .filter(({ treatment }) => treatment === 'ignored')
    .map((problem) => noEffect(`${textOf(problem)} has no effect: ${problem.why}`));
  const ofOthers = components
    .filter(
      (name) =>
        isMap(valueAt(given, ['values', name])) && valueAt(spec, ['components', name, 'enabled']) !== true,
    )
    .map((name) => noEffect(`values.${name} has no effect: the component ${name} is not installed`));
  return [...unused, ...ofOthers];
}

function noEffect(message: string): Finding {
  return { code: 'MESH0321', severity: 'warning', message };
}

function textOf({ path, value }: Unhonored): string {
  const textMaxChars = 80;
  // Lists and maps are not repeated: they may be long, and may hold secrets.
  return typeof value === 'object' ? path : `${path}=${scalarText(value)}`.slice(0, textMaxChars);
}

function hintFor({ path }: Unhonored): string {
  const [only] = supportAt(valueSupport, path.replace(/\[\d+\]/g, '[]'))?.harmless ?? [];
  return only === undefined || only === '' ? `Leave ${path} out.` : `Leave ${path} at ${scalarText(only)}.`;
}
