import { objectsOf } from '../../base/json.js';
import { specOf } from '../registry/resource.js';
import type { AdmissionPlugin } from '../registry/admission.js';

const key = 'node.kubernetes.io/not-ready';

/** A new node takes no pods until somebody found it ready and removed the taint. */
export function taintNewNodes(): AdmissionPlugin {
  return {
    name: 'TaintNodesByCondition',
    admit: ({ operation, resource, object, subresource }) => {
      if (operation !== 'CREATE' || resource.storage !== 'nodes' || (subresource ?? '') !== '') return;
      const spec = specOf(object);
      const taints = objectsOf(spec.taints);
      if (taints.some((t) => t.key === key && t.effect === 'NoSchedule')) return;
      spec.taints = [...taints, { key, effect: 'NoSchedule' }];
    },
  };
}
