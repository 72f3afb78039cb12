import { existsSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { runInNetns } from '#base/system/netns.js';
import { type CapturePort, outboundPort } from '../../rules/capture-ports.js';

const stateListen = '0A';

/** Addresses of every interface of a namespace, as the kernel lists them. */
export function addressesInNetns(netns: number): ReadonlySet<string> {
  const all = runInNetns(netns, () => networkInterfaces());
  return new Set(Object.values(all).flatMap((list) => (list ?? []).map((entry) => entry.address)));
}

/** Which of the proxy's ports have a listening socket in the namespace, from /proc/net/tcp and tcp6. */
export function listenersIn(netns: number): Record<CapturePort, boolean> {
  const ports = listeningPorts(socketTable(netns));
  return { '15001': ports.has(15001), '15006': ports.has(15006), '15008': ports.has(15008) };
}

function socketTable(netns: number): string {
  return runInNetns(netns, () =>
    // thread-self: the file shows the namespace of the thread that opens it.
    ['/proc/thread-self/net/tcp', '/proc/thread-self/net/tcp6']
      .filter((path) => existsSync(path))
      .map((path) => readFileSync(path, 'utf8'))
      .join('\n'),
  );
}

/**
 * Whether the connection from a local port of a namespace ended up at the proxy's listener for outbound traffic there;
 * undefined when it has ended already, which leaves no trace. The kernel lists sockets one after the other, IPv4 before
 * IPv6: the peer of one that it shows may be gone a moment later. Only one that stands at a second look went past.
 */
export function isRedirectedFrom(netns: number, localPort: number): boolean | undefined {
  return redirectionIn([socketTable(netns), socketTable(netns)], localPort);
}

/** As {@link isRedirectedFrom}, of looks at the socket tables (texts of /proc/net/tcp and tcp6) in their order. */
export function redirectionIn(looks: readonly string[], localPort: number): boolean | undefined {
  if (looks.some((text) => isPeerOf(text, { listener: outboundPort, peer: localPort }))) return true;
  const isStanding = socketsOf(looks.at(-1) ?? '').some(
    ({ local, state }) => local === localPort && state === '01',
  );
  return isStanding ? false : undefined;
}

/** Whether /proc/net/tcp or tcp6 shows a connection that arrived at a port from another one. */
export function isPeerOf(text: string, ports: { readonly listener: number; readonly peer: number }): boolean {
  return socketsOf(text).some(({ local, remote }) => local === ports.listener && remote === ports.peer);
}

/** Ports in state LISTEN in the text of /proc/net/tcp or tcp6. */
export function listeningPorts(text: string): ReadonlySet<number> {
  return new Set(socketsOf(text).flatMap(({ local, state }) => (state === stateListen ? [local] : [])));
}

/** Ports and states of the sockets in the text of /proc/net/tcp or tcp6. */
function socketsOf(
  text: string,
): readonly { readonly local: number; readonly remote: number; readonly state: string }[] {
  const line = /^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:([0-9A-F]{4}) ([0-9A-F]{2}) /gm;
  return [...text.matchAll(line)].map(([, local = '', remote = '', state = '']) => ({
    local: Number.parseInt(local, 16),
    remote: Number.parseInt(remote, 16),
    state,
  }));
}

/** IPv6 of a namespace: `none` without kernel support, `noLoopback` when lo has it switched off. */
export type Ipv6State = 'none' | 'noLoopback' | 'full';

/** Reads the IPv6 state of a namespace from its sysctls. */
export function ipv6StateIn(netns: number): Ipv6State {
  return runInNetns(netns, () => {
    const path = '/proc/sys/net/ipv6/conf/lo/disable_ipv6';
    if (!existsSync(path)) return 'none';
    return readFileSync(path, 'utf8').trim() === '1' ? 'noLoopback' : 'full';
  });
}
