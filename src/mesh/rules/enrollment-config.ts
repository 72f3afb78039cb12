import { parse } from 'yaml';
import { MeshError } from '#base/errors/mesh-error.js';
import { defaultSelectors, type EnrollmentRules, type EnrollmentSelector } from './enrollment.js';

/** ConfigMap of the system namespace that the CNI agents take their environment from. */
export const enrollmentConfigMap = 'istio-cni-config';

/**
 * The rules as the environment of the CNI agent, or the ConfigMap it comes from, states them.
 * @throws MESH0708
 */
export function parseEnrollmentRules(
  settings: Readonly<Record<string, string | undefined>>,
  systemNamespace: string,
): EnrollmentRules {
  return {
    selectors: parseSelectors(settings['AMBIENT_ENABLEMENT_SELECTOR']),
    excludeNamespaces: (settings['EXCLUDE_NAMESPACES'] ?? '')
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== ''),
    systemNamespace,
  };
}

/** Parses AMBIENT_ENABLEMENT_SELECTOR, a YAML list; absent or empty gives the chart's. Throws MESH0708. */
export function parseSelectors(text: string | undefined): readonly EnrollmentSelector[] {
  if (text === undefined || text.trim() === '') return defaultSelectors;
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    throw new MeshError('MESH0708', 'AMBIENT_ENABLEMENT_SELECTOR is not YAML', { cause: error });
  }
  if (!Array.isArray(value) || !value.every(isSelector)) {
    throw new MeshError(
      'MESH0708',
      'AMBIENT_ENABLEMENT_SELECTOR must be a list of {podSelector, namespaceSelector}',
      { evidence: text.slice(0, 500) },
    );
  }
  return value;
}

function isSelector(value: unknown): value is EnrollmentSelector {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const entries = Object.entries(value);
  return (
    entries.length > 0 &&
    entries.every(
      ([key, part]) =>
        (key === 'podSelector' || key === 'namespaceSelector') &&
        typeof part === 'object' &&
        part !== null &&
        !Array.isArray(part),
    )
  );
}
