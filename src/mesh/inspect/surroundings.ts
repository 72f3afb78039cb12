import { checkConfiguration, checkedResources } from './checks/configuration-checks.js';
import { readConfiguration } from './configuration/live-configuration.js';
import type { Finding } from './findings/finding.js';
import { flattenFindings } from './findings/fold.js';
import type { MeshObserver } from './mesh-observer.js';
import { controllerStoppedCode } from './runtime/controller-findings.js';
import { absentMeshCode } from './runtime/mesh-presence.js';
import { runtimeFindings } from './runtime/runtime-findings.js';

/** What may explain the state of an object: the mesh around it, and the configuration of its namespace. */
export interface Surroundings {
  readonly runtime: readonly Finding[];
  readonly configuration: readonly Finding[];
}

/** Looks at the mesh around objects of a namespace: each look is taken once for an observer. `now` in milliseconds. */
export function surroundings(
  observer: MeshObserver,
  at: { readonly namespace: string; readonly nodes: readonly string[]; readonly now: number },
): Promise<Surroundings> {
  return observer.once(`surroundings ${at.namespace} ${at.nodes.join()}`, async () => {
    const [runtime, configuration] = await Promise.all([
      runtimeFindings(observer, { nodes: at.nodes, now: at.now }),
      observer.once(`configuration ${at.namespace}`, () =>
        readConfiguration(observer, { resources: checkedResources(), namespaces: [at.namespace] }).then(
          checkConfiguration,
        ),
      ),
    ]);
    return { runtime, configuration };
  });
}

/**
 * Without what is wrong elsewhere in the mesh: of the findings about the mesh, those that explain something here, that
 * there is none, and that its controller is stopped: a warning as long as nothing here has failed for it.
 */
export function relevantTo(folded: readonly Finding[], runtime: readonly Finding[]): readonly Finding[] {
  const keyOf = ({ code, message }: Finding): string => `${code} ${message}`;
  const elsewhere = new Set(runtime.map(keyOf));
  return folded.flatMap((finding) => {
    const isOfHere = [finding, ...flattenFindings(finding.consequences ?? [])].some(
      (one) => !elsewhere.has(keyOf(one)),
    );
    if (isOfHere || finding.code === absentMeshCode) return [finding];
    return finding.code === controllerStoppedCode ? [{ ...finding, severity: 'warning' as const }] : [];
  });
}
