import { writeFile } from 'node:fs/promises';
import { MeshError } from '../../../errors/mesh-error.js';
import { run } from '../../../system/run.js';
import { clusterNetwork, nodeAddresses } from '../sandbox-config.js';

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

/** Which network namespaces belong to which slots. */
export interface NetworkedNode {
  readonly index: number;
  /** Any process in the node's network namespace. */
  readonly pid: number;
}

/**
 * Plugs a node in: `eth0` inside it, its end of the cable on the bridge, and routes to the other nodes' pods,
 * as a cloud's route table has them.
 */
export async function connectNode(
  { index, pid }: NetworkedNode,
  o: { readonly otherSlots: readonly number[]; readonly isConnected: boolean },
): Promise<void> {
  await ip([
    `link add ${cable(index)} type veth peer name eth0 netns ${pid}`,
    `link set ${cable(index)} master ${bridge} ${o.isConnected ? 'up' : 'down'}`,
    routeTo(index),
  ]);
  await ip(
    [
      'link set lo up',
      `addr add ${nodeAddresses(index).ip}/16 dev eth0`,
      'link set eth0 up',
      `route replace default via ${clusterNetwork.controlPlaneIp}`,
      ...o.otherSlots.map(routeTo),
    ],
    pid,
  );
}

/** Tells running nodes the way to the pods of one that is new. */
export async function announceNode(index: number, others: readonly NetworkedNode[]): Promise<void> {
  await Promise.all(others.map((other) => ip([routeTo(index)], other.pid)));
}

/** Pulls a node's cable out of the switch, or puts it back. Addresses and routes stay. */
export async function setCable(index: number, isConnected: boolean): Promise<void> {
  await ip([`link set ${cable(index)} ${isConnected ? 'up' : 'down'}`]);
}

/** Takes away what is left of a node that is powered off: nothing answers at its address any more. */
export async function removeCable(index: number): Promise<void> {
  // The kernel does so by itself some time after the node's namespace is gone; then this finds nothing.
  await run('ip', ['link', 'del', cable(index)]);
}

/** Makes everybody forget the way to a removed node's pods. */
export async function forgetNode(index: number, others: readonly NetworkedNode[]): Promise<void> {
  const forget = ['route', 'del', nodeAddresses(index).podCidr];
  await run('ip', forget);
  await Promise.all(others.map((other) => run('nsenter', [...enterNetwork(other.pid), 'ip', ...forget])));
}

function cable(index: number): string {
  return `node-${index}`;
}

function routeTo(index: number): string {
  const { ip: address, podCidr } = nodeAddresses(index);
  return `route replace ${podCidr} via ${address}`;
}

function enterNetwork(pid: number): string[] {
  return ['--target', String(pid), '--net', '--'];
}

async function ip(commands: readonly string[], netnsPid?: number): Promise<void> {
  const enter = netnsPid === undefined ? [] : [...enterNetwork(netnsPid), 'ip'];
  const result = await run(netnsPid === undefined ? 'ip' : 'nsenter', [...enter, '-batch', '-'], {
    input: `${commands.join('\n')}\n`,
  });
  if (result.exitCode !== 0)
    throw new MeshError('MESH0802', 'the network of the sandbox could not be made', {
      evidence: result.stderr.trim(),
    });
}
