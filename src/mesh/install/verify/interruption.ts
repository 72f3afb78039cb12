import { isForbidden } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { MeshError } from '#base/errors/mesh-error.js';
import type { Finding, FindingSubject } from '../../inspect/findings/finding.js';
import { scalarText } from '../../templates/values.js';
import { type Inventory, inventoryName, readInventory } from '../apply/inventory.js';
import { valueLeaves } from '../values/reversions.js';

/** The record of the installation in a namespace. */
export function recordOf(namespace: string): FindingSubject {
  return { kind: 'ConfigMap', namespace, name: inventoryName };
}

/** That an installation stopped half-way, with the command that goes on; undefined when it is finished. */
export function interruptionOf(inventory: Inventory, namespace: string): Finding | undefined {
  if (inventory.isComplete) return undefined;
  return {
    code: 'MESH0336',
    severity: 'error',
    message: `installation in ${namespace}: was interrupted, and is in place in part only`,
    subject: recordOf(namespace),
    fix: installCommand(inventory, namespace),
  };
}

/**
 * The same of what is recorded in the cluster; undefined also when nothing is, or the user may not look. A record that
 * cannot be read is a finding of its own.
 */
export async function readInterruption(client: KubeClient, namespace: string): Promise<Finding | undefined> {
  try {
    const inventory = await readInventory(client, namespace);
    return inventory === undefined ? undefined : interruptionOf(inventory, namespace);
  } catch (error) {
    if (isForbidden(error)) return undefined;
    if (!(error instanceof MeshError) || error.code !== 'MESH0309') throw error;
    const { message, evidence, hint } = error;
    return {
      code: 'MESH0309',
      severity: 'warning',
      message,
      subject: recordOf(namespace),
      ...(evidence === undefined ? {} : { evidence: [evidence] }),
      ...(hint === undefined ? {} : { fix: hint }),
    };
  }
}

const repeatedMax = 8;

/** The install that goes on where this one stopped: with the same values, or it would take them back. */
function installCommand({ given }: Inventory, namespace: string): string {
  const command = [
    'meshctl install',
    ...(namespace === 'istio-system' ? [] : [`--istio-namespace ${namespace}`]),
  ];
  const leaves = valueLeaves(given);
  // Lists and texts with blanks are no matter of a line, and may hold secrets.
  const isPlain = leaves.every(
    ({ value }) => typeof value !== 'object' && /^[\w.:/@-]*$/.test(scalarText(value)),
  );
  if (isPlain && leaves.length <= repeatedMax) {
    return [
      ...command,
      ...leaves.map(({ path, value }) => `--set ${path.join('.')}=${scalarText(value)}`),
    ].join(' ');
  }
  return `${command.join(' ')}, with the values it was given (-f, --set)`;
}
