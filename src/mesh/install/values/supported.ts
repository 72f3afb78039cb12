import { MeshError } from '#base/errors/mesh-error.js';
import { scalarText, type Value, type ValueMap, valueAt } from '../../templates/values.js';

/** Values with which the CNI agent refuses to start, and why. */
const fixed: readonly { readonly path: string; readonly only: Value; readonly why: string }[] = [
  {
    path: 'values.cni.ambient.enabled',
    only: true,
    why: 'the CNI agent does nothing but ambient capture; set components.cni.enabled=false to do without it',
  },
  {
    path: 'values.cni.ambient.dnsCapture',
    only: false,
    why: 'the node proxy has no DNS listener, so captured queries would go unanswered',
  },
  { path: 'values.cni.nativeNftables', only: false, why: 'redirection is written with iptables' },
  {
    path: 'values.cni.istioOwnedCNIConfig',
    only: false,
    why: 'the plugin is chained into the configuration that is there',
  },
  { path: 'values.cni.chained', only: true, why: 'the plugin runs only chained after another one' },
];

/**
 * Refuses before anything is installed what a component would refuse at its start.
 * @throws MESH0316
 */
export function requireSupported(spec: ValueMap, platform: string): void {
  if (valueAt(spec, ['components', 'cni', 'enabled']) !== true) return;
  for (const { path, only, why } of fixed) {
    const value = valueAt(spec, path.split('.'));
    if (value === only) continue;
    throw new MeshError('MESH0316', `${path}=${scalarText(value)} is not supported: ${why}`, {
      ...(platform === '' ? {} : { evidence: `platform ${platform}` }),
      hint: `Leave it at ${scalarText(only)}.`,
    });
  }
}
