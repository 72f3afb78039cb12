import type { Finding } from '../findings/finding.js';
import { isPodReady } from '../component-pods.js';
import type { MeshObserver } from '../mesh-observer.js';
import { componentProblems } from './component-findings.js';
import { silentControllers } from './silence-findings.js';

/** Code of {@link controllerFindings} when no replica serves. */
export const controllerStoppedCode = 'MESH0966';

/** What an outage of the controller means for those who are asked about. */
const effects = [
  'works: connections of pods that proxies know, by the policies and certificates that they have',
  'does not work: calls of and to new pods, renewal of certificates, changes of services, policies, routes and waypoints',
] as const;

/**
 * What is wrong with the controller. While no replica of it serves, that is one finding: whatever is wrong with its
 * Deployment and pods is why. Asked once for an observer.
 */
export function controllerFindings(observer: MeshObserver): Promise<readonly Finding[]> {
  return observer.once('controller findings', async () => {
    const [problems, silent, pods] = await Promise.all([
      componentProblems(observer, 'controller'),
      silentControllers(observer),
      observer.components('controller'),
    ]);
    const found = [...problems, ...silent];
    const hanging = new Set(silent.map(({ subject }) => subject?.name));
    const isServed = pods.some((pod) => isPodReady(pod) && !hanging.has(pod.metadata.name));
    return isServed || found.length === 0 ? found : [outageOf(observer.meshNamespace, found)];
  });
}

function outageOf(meshNamespace: string, [first, ...more]: readonly Finding[]): Finding {
  const why = first?.message ?? 'no pod of it runs';
  return {
    code: controllerStoppedCode,
    severity: 'error',
    message: `the controller is stopped: ${why}`,
    subject: { kind: 'Deployment', namespace: meshNamespace, name: 'istiod' },
    concerns: first?.concerns ?? [],
    dependsOn: first?.dependsOn ?? [],
    evidence: [...(first?.evidence ?? []), ...more.map(({ message }) => message), ...effects],
    ...(first?.fix === undefined ? {} : { fix: first.fix }),
  };
}
