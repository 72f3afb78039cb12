import { MeshError } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { pods } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import { isPodReady } from '../component-pods.js';
import { type Referred, referredPod, splitKind } from '../references.js';
import { splitReference } from '../ztunnel-target.js';

const serviceAccountNames: ReadonlySet<string> = new Set(['sa', 'serviceaccount', 'serviceaccounts']);

/** The pod that a probe starts from: as `referredPod`, and `sa/NAME` for a ready pod that runs as a ServiceAccount. */
export async function resolveProbeSource(
  client: KubeClient,
  of: { readonly reference: string; readonly namespace: string },
): Promise<Referred> {
  const [kind, bare] = splitKind(of.reference);
  if (kind === undefined || !serviceAccountNames.has(kind.toLowerCase())) return referredPod(client, of);
  const [account, own] = splitReference(bare);
  const namespace = own ?? of.namespace;
  const members = (await client.list<Pod>(pods, { namespace })).filter(
    ({ spec, status }) => (spec.serviceAccountName ?? 'default') === account && status?.phase === 'Running',
  );
  const chosen = members.find(isPodReady) ?? members[0];
  const what = `ServiceAccount ${namespace}/${account}`;
  if (chosen === undefined) throw new MeshError('MESH0909', `no running pod is of ${what}`);
  return { namespace, name: chosen.metadata.name, note: `${what}: pod ${chosen.metadata.name}` };
}
