/**
 * The node proxy's `/config_dump` as read from outside: ours or upstream's, current
 * or older. Readers tolerate what is missing.
 */
export interface DumpGatewayAddress {
  /** `namespace/hostname` or `network/ip`. */
  readonly destination: string;
  readonly hboneMtlsPort?: number;
}

export interface DumpWorkload {
  readonly uid?: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount?: string;
  readonly trustDomain?: string;
  readonly workloadIps?: readonly string[];
  readonly hostname?: string;
  readonly node?: string;
  /** `HBONE` or `TCP`. */
  readonly protocol?: string;
  readonly waypoint?: DumpGatewayAddress;
  readonly authorizationPolicies?: readonly string[];
  readonly status?: string;
  readonly networkMode?: string;
}

export interface DumpService {
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  readonly vips?: readonly string[];
  readonly ports?: Readonly<Record<string, number>>;
  readonly endpoints?: Readonly<Record<string, { readonly workloadUid?: string; readonly status?: string }>>;
  readonly waypoint?: DumpGatewayAddress;
}

export interface DumpPolicy {
  readonly name: string;
  readonly namespace: string;
  readonly scope: string;
  readonly action: string;
  readonly dryRun?: boolean;
  readonly rules?: unknown;
}

export interface DumpCertificate {
  readonly serialNumber: string;
  readonly validFrom: string;
  readonly expirationTime: string;
  readonly pem?: string;
}

export interface DumpIdentity {
  readonly identity: string;
  /** `Available`, `Initializing` or `Unavailable: reason`. */
  readonly state: string;
  readonly certChain?: readonly DumpCertificate[];
  readonly rootCerts?: readonly DumpCertificate[];
}

export interface DumpConnection {
  readonly src: string;
  readonly originalDst?: string | null;
  readonly actualDst: string;
  /** `HBONE`, `DOUBLEHBONE` or `TCP`. */
  readonly protocol: string;
  /** What the TLS session of this connection is; only our own node proxy tells. */
  readonly tls?: { readonly version: string; readonly cipher: string; readonly peer?: string };
  /** Inbound: the application's `ip:port`, as the far proxy told it; likewise. */
  readonly client?: string;
  /** Milliseconds until both sides stood; likewise. */
  readonly setupMs?: number;
}

export interface DumpWorkloadState {
  /** `Up` or `Pending`. */
  readonly state: string;
  readonly info?: { readonly name: string; readonly namespace: string; readonly serviceAccount?: string };
  readonly connections?: {
    readonly inbound?: readonly DumpConnection[];
    readonly outbound?: readonly DumpConnection[];
  };
}

/** One end of an attempt that a node proxy refused, as far as it knew it. */
interface DumpAttemptPeer {
  readonly address: string;
  readonly workload?: string;
  readonly namespace?: string;
  readonly identity?: string;
}

/** Attempts of one kind that were refused of late; only our own node proxy tells. */
export interface DumpRefusedAttempt {
  readonly direction: 'inbound' | 'outbound';
  readonly flag?: string;
  readonly reason: string;
  readonly source: DumpAttemptPeer;
  readonly destination: DumpAttemptPeer & { readonly service?: string };
  readonly count: number;
  /** RFC 3339. */
  readonly last: string;
}

export interface ZtunnelDump {
  readonly workloads: readonly DumpWorkload[];
  readonly services: readonly DumpService[];
  readonly policies: readonly DumpPolicy[];
  readonly certificates: readonly DumpIdentity[];
  /** Keyed by pod UID. */
  readonly workloadState: Readonly<Record<string, DumpWorkloadState>>;
  readonly refusedAttempts: readonly DumpRefusedAttempt[];
  /** The document as it came, for `-o json`. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** Parses a dump. Throws SyntaxError or TypeError when the text is no such document. */
export function parseZtunnelDump(text: string): ZtunnelDump {
  const raw: unknown = JSON.parse(text);
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) throw new TypeError('not a JSON object');
  const document = raw as Record<string, unknown>;
  if (!('workloads' in document) && !('certificates' in document)) {
    throw new TypeError('no "workloads" in the document');
  }
  return {
    workloads: listOf<DumpWorkload>(document['workloads']),
    services: listOf<DumpService>(document['services']),
    policies: listOf<DumpPolicy>(document['policies']),
    certificates: listOf<DumpIdentity>(document['certificates']),
    workloadState: (document['workloadState'] ?? {}) as Record<string, DumpWorkloadState>,
    refusedAttempts: listOf<DumpRefusedAttempt>(document['refusedAttempts']),
    raw: document,
  };
}

/**
 * What a dump tells of its own node. Every node proxy knows the whole mesh: the dumps of all nodes of a large cluster,
 * held together, would be as large as nodes times pods.
 */
export function ownPartOf(dump: ZtunnelDump, node: string): ZtunnelDump {
  const { workloads: _workloads, services: _services, policies: _policies, ...raw } = dump.raw;
  const workloads = dump.workloads.filter((workload) => workload.node === node);
  return { ...dump, workloads, services: [], policies: [], raw };
}

/** Older node proxies emit maps keyed by address where newer ones emit lists. */
function listOf<T>(value: unknown): readonly T[] {
  if (Array.isArray(value)) return value as T[];
  if (typeof value === 'object' && value !== null) return Object.values(value) as T[];
  return [];
}

/** The workload that a pod is; undefined when the proxy has none. */
export function podInDump(
  dump: ZtunnelDump,
  pod: { readonly namespace: string; readonly name: string },
): DumpWorkload | undefined {
  const named = dump.workloads.filter((w) => w.namespace === pod.namespace && w.name === pod.name);
  // Endpoints that are no pods have the name of their slice, which may be that of a pod.
  return named.find(({ uid }) => uid?.includes('//Pod/') === true) ?? named[0];
}

/** The live connections of one pod, by its UID. */
export function connectionsOf(
  dump: ZtunnelDump,
  uid: string,
): { readonly inbound: readonly DumpConnection[]; readonly outbound: readonly DumpConnection[] } {
  const state = dump.workloadState[uid];
  return { inbound: state?.connections?.inbound ?? [], outbound: state?.connections?.outbound ?? [] };
}
