import { MeshError } from '#base/errors/mesh-error.js';
import { run } from '#base/system/run.js';

/** Nodes that take images from an archive, without a registry. */
export type NodeTarget =
  | { readonly kind: 'kind'; readonly cluster: string }
  | { readonly kind: 'k3d'; readonly cluster: string }
  /** containerd of this machine, as on a node. */
  | { readonly kind: 'containerd'; readonly address: string | undefined };

/** Where the kubelet's images are. */
const kubernetesNamespace = 'k8s.io';

/** Hands an archive to the nodes. Throws MESH1001 (the program is missing) or MESH0351 (it failed). */
export async function loadIntoNodes(
  target: NodeTarget,
  archive: string,
  o: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<void> {
  const [program, ...args] = commandFor(target, archive);
  const { exitCode, stdout, stderr } = await run(program, args, o);
  o.signal.throwIfAborted();
  if (exitCode === 0) return;
  const said = `${stderr}\n${stdout}`.trim().slice(-2_000);
  throw new MeshError('MESH0351', `${program} did not load the images`, {
    evidence: `${[program, ...args].join(' ')}: exit code ${exitCode}${said === '' ? '' : `\n${said}`}`,
  });
}

function commandFor(target: NodeTarget, archive: string): [string, ...string[]] {
  switch (target.kind) {
    case 'kind':
      return ['kind', 'load', 'image-archive', archive, '--name', target.cluster];
    case 'k3d':
      return ['k3d', 'image', 'import', archive, '--cluster', target.cluster];
    case 'containerd': {
      const address = target.address === undefined ? [] : ['--address', target.address];
      return ['ctr', ...address, '--namespace', kubernetesNamespace, 'images', 'import', archive];
    }
  }
}
