import { writeFile } from 'node:fs/promises';
import { MeshError } from '#base/errors/mesh-error.js';
import { run, type RunResult } from '#base/system/run.js';
import type { IpFamily } from '#base/net/address.js';
import type { NetworkPlan } from '../network-plan.js';

const bridge = 'br0';

/** Makes the network that joins the nodes; this process is already in a network namespace of its own. */
export async function createBridge({ families }: NetworkPlan): Promise<void> {
  // Where br_netfilter is loaded, bridged packets would pass this namespace's rules a second time.
  for (const knob of ['iptables', 'ip6tables'])
    await writeFile(`/proc/sys/net/bridge/bridge-nf-call-${knob}`, '0').catch(() => undefined); // not loaded
  // Looking for another owner of each IPv6 address would take a second per address.
  for (const name of ['all', 'default'])
    await writeFile(`/proc/sys/net/ipv6/conf/${name}/accept_dad`, '0').catch(() => undefined); // no IPv6
  await ip([
    'link set lo up',
    `link add ${bridge} address ${hardwareAddress(0)} type bridge forward_delay 0 stp_state 0`,
    `link set ${bridge} up`,
    ...families.flatMap((plan) => [
      `addr add ${plan.controlPlaneIp}/${plan.nodePrefix} dev ${bridge}${noDad(plan.family)}`,
      // The rules for services change the destination, but only of packets that have a route.
      ...[plan.serviceCidr, plan.loadBalancerCidr].map((cidr) => `route replace ${cidr} dev ${bridge}`),
    ]),
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
  plan: NetworkPlan,
  o: { readonly otherSlots: readonly number[]; readonly isConnected: boolean },
): Promise<void> {
  await ip([
    `link add ${cable(index)} type veth peer name eth0 address ${hardwareAddress(index)} netns ${pid}`,
    `link set ${cable(index)} master ${bridge} ${o.isConnected ? 'up' : 'down'}`,
    ...routesTo(index, plan),
  ]);
  await ip(
    [
      'link set lo up',
      ...plan.families.map(
        (each) => `addr add ${each.nodeIp(index)}/${each.nodePrefix} dev eth0${noDad(each.family)}`,
      ),
      'link set eth0 up',
      ...plan.families.map((each) => `route replace default via ${each.controlPlaneIp}`),
      ...o.otherSlots.flatMap((slot) => routesTo(slot, plan)),
    ],
    pid,
  );
}

/** Tells running nodes the ways to the pods of new ones. */
export async function announceNodes(
  indexes: readonly number[],
  plan: NetworkPlan,
  others: readonly NetworkedNode[],
): Promise<void> {
  const routes = indexes.flatMap((index) => routesTo(index, plan));
  await Promise.all(others.map((other) => ip(routes, other.pid)));
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

/**
 * Makes the control plane ask again for addresses that just became silent. Connections made right
 * after would wait for answers of a neighbor the kernel still believes in, for half a minute.
 */
export async function forgetNeighbors(ips: readonly string[]): Promise<void> {
  for (const address of ips) await run('ip', ['neigh', 'flush', 'to', address, 'dev', bridge]);
}

/** Makes everybody forget the ways to the pods of removed nodes. */
export async function forgetNodes(
  indexes: readonly number[],
  plan: NetworkPlan,
  others: readonly NetworkedNode[],
): Promise<void> {
  const routes = indexes.flatMap((index) => plan.node(index).podCidrs.map((cidr) => `route del ${cidr}`));
  const pids = [undefined, ...others.map((other) => other.pid)];
  // What is not known there needs not be forgotten.
  await Promise.all(pids.map((pid) => runIp(['-force', '-batch', '-'], routes, pid)));
}

function cable(index: number): string {
  return `node-${index}`;
}

function routesTo(index: number, { families }: NetworkPlan): string[] {
  return families.map((plan) => `route replace ${plan.podCidr(index)} via ${plan.nodeIp(index)}`);
}

/**
 * The same in every run of a node: its neighbors, who remember it for half a minute,
 * would send to a card that is gone. Slot 0 is the sandbox itself.
 */
function hardwareAddress(index: number): string {
  return `02:00:ac:12:00:${(index + 1).toString(16).padStart(2, '0')}`;
}

function noDad(family: IpFamily): string {
  return family === 'IPv6' ? ' nodad' : '';
}

function enterNetwork(pid: number): string[] {
  return ['--target', String(pid), '--net', '--'];
}

/** Runs commands of `ip`, here or in the network namespace of a process. Throws MESH0802. */
async function ip(commands: readonly string[], netnsPid?: number): Promise<void> {
  const result = await runIp(['-batch', '-'], commands, netnsPid);
  if (result.exitCode !== 0)
    throw new MeshError('MESH0802', 'the network of the sandbox could not be made', {
      evidence: result.stderr.trim(),
    });
}

function runIp(
  flags: readonly string[],
  commands: readonly string[],
  netnsPid: number | undefined,
): Promise<RunResult> {
  const enter = netnsPid === undefined ? [] : [...enterNetwork(netnsPid), 'ip'];
  return run(netnsPid === undefined ? 'ip' : 'nsenter', [...enter, ...flags], {
    input: `${commands.join('\n')}\n`,
  });
}
