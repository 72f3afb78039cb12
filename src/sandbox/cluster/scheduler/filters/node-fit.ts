import { nodeMatches } from '#base/kube/node-selector.js';
import { nodeTaints } from '../../objects.js';
import type { Filter } from '../cluster-view.js';
import { untolerated } from '../../controllers/tolerations.js';

const never = { isResolvable: false } as const;

/** What the node itself says: name, cordon, taints, labels. No pod that leaves changes it. */
export const nodeFit: Filter = (pod) => {
  const { spec } = pod;
  const wantedNode = spec.nodeName ?? '';
  const unschedulable = { key: nodeTaints.unschedulable, effect: 'NoSchedule' };
  const acceptsCordon = untolerated([unschedulable], spec.tolerations, ['NoSchedule']) === undefined;
  return ({ node }) => {
    if (wantedNode !== '' && wantedNode !== node.metadata.name)
      return { reason: "node(s) didn't match the requested node name", ...never };
    if (node.spec?.unschedulable === true && !acceptsCordon)
      return { reason: 'node(s) were unschedulable', ...never };
    const taint = untolerated(node.spec?.taints, spec.tolerations, ['NoSchedule', 'NoExecute']);
    if (taint !== undefined)
      return { reason: `node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`, ...never };
    if (!nodeMatches(spec, node))
      return { reason: "node(s) didn't match Pod's node affinity/selector", ...never };
    return undefined;
  };
};
