import { setTimeout as delay } from 'node:timers/promises';
import type { KubeClient } from '#base/kube/client.js';
import { applyYaml, waitForPods } from '../../test/harness/cluster.js';

/** The ways from a client on one node to a server on the other that are compared; each has a namespace. */
export const paths = ['direct', 'enrolled', 'waypoint'] as const;
export type Path = (typeof paths)[number];

export function namespaceOf(path: Path): string {
  return `bench-${path}`;
}

/** One client on node-1 and one server on node-2 in the namespace of every path, ready when this resolves. */
export async function deployWorkload(client: KubeClient): Promise<void> {
  await Promise.all(
    paths.map(async (path) => {
      const namespace = namespaceOf(path);
      await applyYaml(client, manifests(namespace));
      for (const app of ['client', 'server'])
        await waitForPods(client, { namespace, labelSelector: `app=${app}`, count: 1 });
    }),
  );
}

/** Lets the machine come to rest: what was just started still compiles and collects garbage. */
export function settle(): Promise<void> {
  return delay(1_000);
}

function manifests(namespace: string): string {
  return `apiVersion: v1
kind: Namespace
metadata: { name: ${namespace} }
---
apiVersion: v1
kind: Service
metadata: { name: server, namespace: ${namespace} }
spec:
  selector: { app: server }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
---
${deployment({ namespace, app: 'client', node: 'node-1', args: '[sleep, infinity]' })}
---
${deployment({ namespace, app: 'server', node: 'node-2', args: '[--port, "8080", --quiet]' })}
`;
}

function deployment(o: { namespace: string; app: string; node: string; args: string }): string {
  return `apiVersion: apps/v1
kind: Deployment
metadata: { name: ${o.app}, namespace: ${o.namespace} }
spec:
  selector: { matchLabels: { app: ${o.app} } }
  template:
    metadata: { labels: { app: ${o.app} } }
    spec:
      terminationGracePeriodSeconds: 1
      nodeSelector: { kubernetes.io/hostname: ${o.node} }
      containers: [{ name: ${o.app}, image: "meshctl/tool:latest", args: ${o.args} }]`;
}
