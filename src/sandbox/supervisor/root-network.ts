import { writeFile } from 'node:fs/promises';
import { MeshError } from '../../errors/mesh-error.js';
import { run } from '../../system/run.js';
import { clusterNetwork, nodeAddresses } from './sandbox-config.js';

const bridge = 'br0';

/** Makes the network that joins the nodes; this process is already in a network namespace of its own. */
export async function createBridge(): Promise<void> {
  // Where br_netfilter is loaded, bridged packets would pass this namespace's rules a second time.
  for (const knob of ['iptables', 'ip6tables'])
    await writeFile(`/proc/sys/net/bridge/bridge-nf-call-${knob}`, '0').catch(() => undefined); // not loaded
  await ip([
    'link set lo up',
    `link add ${bridge} type bridge forward_delay 0 stp_state 0`,
    `addr add ${clusterNetwork.controlPlaneIp}/16 dev ${bridge}`,
    `link set ${bridge} up`,
    // The rules for services change the destination, but only of packets that have a route.
    `route add ${clusterNetwork.serviceCidr} dev ${bridge}`,
  ]);
}

/**
 * Plugs a node in: `eth0` inside it, its end of the cable on the bridge, and on
 * every side routes to the other nodes' pods, as a cloud's route table has them.
 */
export async function connectNode(
  index: number,
  { netnsPid, nodeCount }: { netnsPid: number; nodeCount: number },
): Promise<void> {
  const { name, ip: address, podCidr } = nodeAddresses(index);
  await ip([
    `link add ${name} type veth peer name eth0 netns ${netnsPid}`,
    `link set ${name} master ${bridge} up`,
    `route replace ${podCidr} via ${address}`,
  ]);
  const routes = Array.from({ length: nodeCount }, (_, i) => i + 1)
    .filter((other) => other !== index)
    .map((other) => nodeAddresses(other))
    .map((other) => `route replace ${other.podCidr} via ${other.ip}`);
  await ip(
    [
      'link set lo up',
      `addr add ${address}/16 dev eth0`,
      'link set eth0 up',
      `route replace default via ${clusterNetwork.controlPlaneIp}`,
      ...routes,
    ],
    netnsPid,
  );
}

async function ip(commands: readonly string[], netnsPid?: number): Promise<void> {
  const enter = netnsPid === undefined ? [] : ['--target', String(netnsPid), '--net', '--', 'ip'];
  const result = await run(netnsPid === undefined ? 'ip' : 'nsenter', [...enter, '-batch', '-'], {
    input: `${commands.join('\n')}\n`,
  });
  if (result.exitCode !== 0)
    throw new MeshError('MESH0802', 'the network of the sandbox could not be made', {
      evidence: result.stderr.trim(),
    });
}
