import { MeshError } from '#base/errors/mesh-error.js';
import type { KubeObject } from '#base/kube/types.js';
import type { EffectiveValues } from '../values/effective.js';
import { type Value, type ValueMap, valueAt } from '../../templates/values.js';
import { renderCrds } from '../../templates/crds.js';
import { installScope } from './scope.js';
import { renderDocument } from '../../templates/render.js';
import { documentsIn, type TemplateFiles } from '../../templates/files.js';

/** Components as upstream's operator names them. */
export type ComponentName = 'Base' | 'Pilot' | 'Cni' | 'Ztunnel';

/** When an object is applied; a stage is ready before the next begins. */
export type Stage = 'namespace' | 'crds' | 'config' | 'agents' | 'proxies';

export const stages: readonly Stage[] = ['namespace', 'crds', 'config', 'agents', 'proxies'];

/** One object of an installation. */
export interface PlannedObject {
  readonly component: ComponentName;
  readonly stage: Stage;
  readonly object: KubeObject;
  /** Left alone when the cluster has one that is not ours: official CRDs, a prepared namespace. */
  readonly onlyIfAbsent: boolean;
}

/** Value of app.kubernetes.io/managed-by on all objects of an installation. */
export const managedByLabel = 'app.kubernetes.io/managed-by';
export const managedBy = 'meshctl';

const folders: readonly { folder: string; component: ComponentName; enabled: string }[] = [
  { folder: 'controller', component: 'Pilot', enabled: 'pilot' },
  { folder: 'cni', component: 'Cni', enabled: 'cni' },
  { folder: 'ztunnel', component: 'Ztunnel', enabled: 'ztunnel' },
];

/** Every object the values ask for, in the order in which they are applied. Same input, same output. */
export function renderInstallation(
  files: TemplateFiles,
  effective: EffectiveValues,
  options: { namespace: string; clientVersion: string },
): readonly PlannedObject[] {
  const scope = installScope(effective, options.namespace);
  const planned: PlannedObject[] = [];
  const add = (component: ComponentName, where: string, document: ValueMap): void => {
    const object = asObject(document, where);
    planned.push({
      component,
      stage: stageOf(object.kind, component),
      object: withLabels(object, component, options.clientVersion),
      onlyIfAbsent: object.kind === 'CustomResourceDefinition' || object.kind === 'Namespace',
    });
  };
  const isEnabled = (name: string): boolean =>
    valueAt(effective.spec, ['components', name, 'enabled']) === true;
  const isAnyEnabled = folders.some(({ enabled }) => isEnabled(enabled));
  if (isEnabled('base') || isAnyEnabled) addRendered('base', 'Base');
  if (isEnabled('base')) {
    for (const { where, document } of renderCrds(files)) add('Base', where, document);
  }
  for (const { folder, component, enabled } of folders) {
    if (isEnabled(enabled)) addRendered(folder, component);
  }
  return stages.flatMap((stage) => planned.filter((p) => p.stage === stage));

  function addRendered(folder: string, component: ComponentName): void {
    for (const { where, document } of documentsIn(files, folder)) {
      const rendered = renderDocument(document, scope, where);
      if (rendered !== undefined) add(component, where, rendered);
    }
  }
}

function stageOf(kind: string, component: ComponentName): Stage {
  if (kind === 'Namespace') return 'namespace';
  if (kind === 'CustomResourceDefinition') return 'crds';
  if (kind !== 'Deployment' && kind !== 'DaemonSet') return 'config';
  return component === 'Ztunnel' ? 'proxies' : 'agents';
}

function asObject(document: ValueMap, where: string): KubeObject {
  const name: Value | undefined = valueAt(document, ['metadata', 'name']);
  if (
    typeof document['kind'] !== 'string' ||
    typeof document['apiVersion'] !== 'string' ||
    typeof name !== 'string'
  ) {
    throw new MeshError('MESH0304', `${where}: no apiVersion, kind or name`);
  }
  // The three fields that make it an object were checked; the API server checks the rest.
  return document as unknown as KubeObject;
}

function withLabels(object: KubeObject, component: ComponentName, version: string): KubeObject {
  const labels = {
    ...object.metadata.labels,
    [managedByLabel]: managedBy,
    'app.kubernetes.io/part-of': 'istio',
    'app.kubernetes.io/version': version,
    'operator.istio.io/component': component,
    'istio.io/rev': 'default',
  };
  return { ...object, metadata: { ...object.metadata, labels } };
}
