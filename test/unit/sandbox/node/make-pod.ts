import type { ContainerSpec, KubeletPod } from '#sandbox/node/model/pod.js';

interface PodParts {
  readonly metadata?: Partial<KubeletPod['metadata']>;
  readonly spec?: Partial<KubeletPod['spec']>;
  readonly status?: KubeletPod['status'];
}

/** A valid pod `ns/p` with one container `c`; a test names only what matters to it. */
export function makePod(o: PodParts = {}): KubeletPod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'ns', uid: 'u-1', ...o.metadata },
    spec: { containers: [makeContainer({})], ...o.spec },
    ...(o.status === undefined ? {} : { status: o.status }),
  };
}

export function makeContainer(o: Partial<ContainerSpec>): ContainerSpec {
  return { name: 'c', image: 'meshctl/tool', ...o };
}
