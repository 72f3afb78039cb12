import { type JsonObject, objectsOf } from '../../../base/json.js';
import { specOf } from '../../registry/resource.js';
import type { AdmissionPlugin } from '../../registry/admission.js';

const seconds = 300;
const keys = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'] as const;

function tolerates(toleration: JsonObject, key: string): boolean {
  const isKey = toleration.key === key || (toleration.key ?? '') === '';
  return isKey && (toleration.effect === 'NoExecute' || (toleration.effect ?? '') === '');
}

/** Lets pods stay five minutes on a node that is not ready or cannot be reached. */
export function defaultTolerationSeconds(): AdmissionPlugin {
  return {
    name: 'DefaultTolerationSeconds',
    admit: ({ operation, resource, object, subresource }) => {
      if (resource.storage !== 'pods' || (subresource ?? '') !== '') return;
      if (operation !== 'CREATE' && operation !== 'UPDATE') return;
      const spec = specOf(object);
      const tolerations = objectsOf(spec.tolerations);
      const missing = keys.filter((key) => !tolerations.some((t) => tolerates(t, key)));
      if (missing.length === 0) return;
      spec.tolerations = [
        ...tolerations,
        ...missing.map((key) => ({
          key,
          operator: 'Exists',
          effect: 'NoExecute',
          tolerationSeconds: seconds,
        })),
      ];
    },
  };
}
