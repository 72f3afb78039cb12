import { messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { configMaps } from '#base/kube/resource.js';
import type { ConfigMap } from '#base/kube/types.js';
import type { EnrollmentRules } from '../rules/enrollment.js';
import { enrollmentConfigMap, parseEnrollmentRules } from '../rules/enrollment-config.js';
import { defaultMeshConfig, type MeshConfig, meshConfigMap, parseMeshConfig } from '../rules/mesh-config.js';

/** What the mesh is set to, as its own ConfigMaps say. */
export interface MeshSettings {
  readonly mesh: MeshConfig;
  readonly enrollment: EnrollmentRules;
  /** Why the mesh options could not be read; undefined when they could. */
  readonly meshProblem: string | undefined;
  /** Why the enrollment rules could not be read; undefined when they could. */
  readonly enrollmentProblem: string | undefined;
  /** What could not be read, and why: there the defaults stand in. */
  readonly assumptions: readonly string[];
}

/** The settings of a mesh that nobody can look at: the defaults. */
export function assumedSettings(meshNamespace: string): MeshSettings {
  return {
    mesh: defaultMeshConfig(meshNamespace),
    enrollment: parseEnrollmentRules({}, meshNamespace),
    meshProblem: undefined,
    enrollmentProblem: undefined,
    assumptions: [],
  };
}

/** Reads the settings of the mesh installed in a namespace. What cannot be read is assumed, and said. */
export async function readMeshSettings(client: KubeClient, meshNamespace: string): Promise<MeshSettings> {
  const defaults = defaultMeshConfig(meshNamespace);
  const [mesh, enrollment] = await Promise.all([
    read({
      name: meshConfigMap.name,
      parse: (data) => parseMeshConfig(data[meshConfigMap.key] ?? '', defaults),
      fallback: defaults,
    }),
    read({
      name: enrollmentConfigMap,
      parse: (data) => parseEnrollmentRules(data, meshNamespace),
      fallback: parseEnrollmentRules({}, meshNamespace),
    }),
  ]);
  return {
    mesh: mesh.value,
    enrollment: enrollment.value,
    meshProblem: mesh.problem,
    enrollmentProblem: enrollment.problem,
    assumptions: [mesh, enrollment].flatMap(({ problem }) => problem ?? []),
  };

  async function read<T>(of: {
    readonly name: string;
    readonly parse: (data: Readonly<Record<string, string>>) => T;
    readonly fallback: T;
  }): Promise<{ readonly value: T; readonly problem?: string }> {
    try {
      const at = { resource: configMaps, namespace: meshNamespace, name: of.name };
      const found = await client.getOrUndefined<ConfigMap>(at);
      return { value: of.parse(found?.data ?? {}) };
    } catch (error) {
      const problem = `ConfigMap ${meshNamespace}/${of.name}: ${messageOf(error)}; its defaults are assumed`;
      return { value: of.fallback, problem };
    }
  }
}
