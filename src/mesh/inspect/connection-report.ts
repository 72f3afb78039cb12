import { parseAuthority } from '#base/net/authority.js';
import { connectionsOf, type DumpConnection, type ZtunnelDump } from './ztunnel-dump.js';

/** One live connection of a pod as its node proxy holds it. */
export interface ConnectionReport {
  readonly direction: 'inbound' | 'outbound';
  /** The other end: `ip:port`. */
  readonly remote: string;
  /** The workload at the other end, `namespace/name`; undefined when the node proxy knows none with the address. */
  readonly remoteName?: string;
  /** What the application asked for. */
  readonly target: string;
  readonly protocol: string;
  readonly isEncrypted: boolean;
  /** `TLSv1.3 TLS_AES_256_GCM_SHA384`, or how else it is known. */
  readonly evidence: string;
  /** SPIFFE id the peer proved. */
  readonly peer?: string;
}

/** The live connections of a pod, inbound first. */
export function connectionReports(dump: ZtunnelDump, uid: string): readonly ConnectionReport[] {
  const { inbound, outbound } = connectionsOf(dump, uid);
  const names = new Map(
    dump.workloads.flatMap(({ namespace, name, workloadIps = [] }) =>
      workloadIps.map((ip) => [ip, `${namespace}/${name}`] as const),
    ),
  );
  return [
    ...inbound.map((c) => report('inbound', c, names)),
    ...outbound.map((c) => report('outbound', c, names)),
  ];
}

function report(
  direction: 'inbound' | 'outbound',
  c: DumpConnection,
  names: ReadonlyMap<string, string>,
): ConnectionReport {
  const isHbone = c.protocol.includes('HBONE');
  const remote = direction === 'inbound' ? c.src : c.actualDst;
  const remoteName = names.get(parseAuthority(remote)?.host ?? '');
  return {
    direction,
    remote,
    ...(remoteName === undefined ? {} : { remoteName }),
    target: direction === 'inbound' ? c.actualDst : (c.originalDst ?? c.actualDst),
    protocol: c.protocol,
    isEncrypted: c.tls !== undefined || isHbone,
    evidence:
      c.tls !== undefined
        ? `${c.tls.version} ${c.tls.cipher}`
        : isHbone
          ? 'HBONE, as the node proxy reports it'
          : 'plaintext',
    ...(c.tls?.peer === undefined ? {} : { peer: c.tls.peer }),
  };
}
