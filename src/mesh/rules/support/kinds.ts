import type { Resource } from '#base/kube/resource.js';
import { gatewayApiKinds } from './gateway-api-kinds.js';
import { istioKinds } from './istio-kinds.js';
import type { KindSupport } from './support.js';

/** Every kind of Istio and the Gateway API. */
export const kindSupport: readonly KindSupport[] = [...istioKinds, ...gatewayApiKinds];

/** Why nothing acts on objects of a kind; undefined of one that is honored, or is none of the mesh's. */
export function whyUnhonored({ group, kind }: Pick<Resource, 'group' | 'kind'>): string | undefined {
  const row = kindSupport.find(({ resource }) => resource.group === group && resource.kind === kind);
  return row === undefined || row.treatment === 'honored' ? undefined : (row.why ?? 'it is not supported');
}
