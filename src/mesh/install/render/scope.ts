import type { EffectiveValues } from '../values/effective.js';
import { componentImages } from '../images/component-images.js';
import { isMap, mergeValues, type Value, type ValueMap, valueAt } from '../../templates/values.js';
import { contentHash } from './content-hash.js';

/** What the templates can refer to: the values, and names for what is computed from them. */
export function installScope(effective: EffectiveValues, namespace: string): ValueMap {
  const { spec } = effective;
  const meshConfig = mapAt(spec, ['meshConfig']);
  const mesh = mergeValues(
    { rootNamespace: namespace, defaultConfig: { discoveryAddress: `istiod.${namespace}.svc:15012` } },
    meshConfig,
  );
  const network = valueAt(spec, ['values', 'global', 'network']);
  const replicas = valueAt(spec, ['values', 'pilot', 'replicaCount']);
  return {
    ...spec,
    namespace,
    mesh,
    cniHash: contentHash(mapAt(spec, ['values', 'cni'])),
    images: Object.fromEntries(
      componentImages(spec).map(({ component, reference }) => [component, reference]),
    ),
    proxyMetadata: mapAt(mesh, ['defaultConfig', 'proxyMetadata']),
    pullSecrets: listAt(spec, ['values', 'global', 'imagePullSecrets']).map((name) => ({ name })),
    networkLabels: network === '' || network === undefined ? {} : { 'topology.istio.io/network': network },
    logFormat: valueAt(spec, ['values', 'global', 'logAsJson']) === true ? 'json' : 'plain',
    isReplicated: typeof replicas === 'number' && replicas > 1,
  };
}

function mapAt(root: ValueMap, path: readonly string[]): ValueMap {
  const value = valueAt(root, path);
  return isMap(value) ? value : {};
}

function listAt(root: ValueMap, path: readonly string[]): readonly Value[] {
  const value = valueAt(root, path);
  return Array.isArray(value) ? (value as readonly Value[]) : [];
}
