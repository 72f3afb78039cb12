import { clusterSizes, ofPods } from './controller/measure.js';
import { hostCounts } from './host-pick.js';

/** One line of the table: how a measurement is called, printed and judged. */
export interface RowSpec {
  /** Name of the measurement. */
  readonly name: string;
  readonly label: string;
  readonly unit: 'us' | 'ms' | 's' | 'KB' | 'MB' | 'MB/s' | '/s';
  /** Measurement of the same rounds it is divided by. */
  readonly peer?: string;
  readonly goal?: Goal;
}

/** What the design asks of the median. */
export interface Goal {
  readonly of: 'value' | 'ratio';
  readonly bound: 'at most' | 'at least';
  readonly limit: number;
}

const atMost = (limit: number): Goal => ({ of: 'value', bound: 'at most', limit });
const atMostTimesPeer = (limit: number): Goal => ({ of: 'ratio', bound: 'at most', limit });

/** Throughput of a large response through two ztunnels that the design wants, in MB/s. */
export const throughputGoal = 600;

/** The table, top to bottom. */
export const rows: readonly RowSpec[] = [
  { name: 'node -e 0', label: 'start: `node -e 0`', unit: 'ms' },
  {
    name: 'version --client',
    label: 'start: `meshctl version --client`',
    unit: 'ms',
    peer: 'node -e 0',
    goal: atMostTimesPeer(1.5),
  },
  {
    name: '--help',
    label: 'start: `meshctl --help`',
    unit: 'ms',
    peer: 'node -e 0',
    goal: atMostTimesPeer(1.5),
  },
  { name: 'sandbox up', label: '`sandbox up`, two nodes, to Ready', unit: 's', goal: atMost(3) },
  { name: 'node add', label: '`sandbox node add`, to Ready', unit: 's' },
  {
    name: 'install',
    label: '`install --profile ambient`, then `verify-install`',
    unit: 's',
    goal: atMost(10),
  },
  { name: 'enroll', label: '`enroll --wait`, two pods', unit: 's' },
  { name: 'waypoint', label: '`waypoint apply --enroll-namespace --wait`', unit: 's' },
  { name: 'memory sandbox', label: 'memory: sandbox, no workloads', unit: 'MB', goal: atMost(300) },
  { name: 'memory controller', label: 'memory: controller', unit: 'MB' },
  { name: 'memory ztunnels', label: 'memory: both ztunnels', unit: 'MB' },
  { name: 'memory CNI agents', label: 'memory: both CNI agents', unit: 'MB' },
  { name: 'memory waypoint', label: 'memory: waypoint', unit: 'MB' },
  ...ofRecomputations(),
  ...clusterSizes.flatMap(({ pods }) => ofClusterSize(pods)),
  ...ofHostCounts('ztunnel', 'host for a connection'),
  ...ofHostCounts('gateway', 'endpoint for a request'),
  ...ofHostCounts('changing', 'host for a connection, 1 change in 10'),
  ...ofPaths('connections', 'new connections', '/s'),
  ...ofPaths('p50', 'round trip p50', 'ms'),
  ...ofPaths('p99', 'round trip p99', 'ms'),
  ...ofPaths('throughput', 'large response', 'MB/s').map((row) =>
    row.name === 'throughput enrolled'
      ? { ...row, goal: { of: 'value', bound: 'at least', limit: throughputGoal } as const }
      : row,
  ),
];

/** CPU of single changes, flush to bytes, at the size the design names. */
function ofRecomputations(): RowSpec[] {
  const pods = 10_000;
  const changes = { endpoint: 'an endpoint flips', pod: 'a pod flips', service: 'an added Service' };
  return Object.entries(changes).map(([change, label]) => ({
    name: ofPods(pods, `recompute ${change}`),
    label: `controller, ${pods.toLocaleString('en')} pods: CPU of ${label}`,
    unit: 'ms',
    goal: atMost(5),
  }));
}

function ofClusterSize(pods: number): RowSpec[] {
  const label = (what: string) => `controller, ${pods.toLocaleString('en')} pods: ${what}`;
  return [
    { name: ofPods(pods, 'start'), label: label('start to serving'), unit: 's' },
    { name: ofPods(pods, 'first push'), label: label('first push to 100 proxies'), unit: 's' },
    { name: ofPods(pods, 'p50'), label: label('change to acknowledged, p50'), unit: 'ms' },
    {
      name: ofPods(pods, 'p99'),
      label: label('change to acknowledged, p99'),
      unit: 'ms',
      ...(pods === 10_000 ? { goal: atMost(1_000) } : {}),
    },
    { name: ofPods(pods, 'cpu'), label: label('CPU of 1,000 pod changes'), unit: 'ms' },
    {
      name: ofPods(pods, 'heap'),
      label: label('heap for each pod'),
      unit: 'KB',
      // Of few pods it is mostly the program itself, which the first ones warm up.
      ...(pods >= 10_000 ? { goal: atMost(3) } : {}),
    },
  ];
}

/** Picking from the smallest service is the peer of picking from the larger ones. */
function ofHostCounts(name: string, label: string): RowSpec[] {
  const peer = `pick ${name} ${hostCounts[0]}`;
  return hostCounts.map((count) => ({
    name: `pick ${name} ${count}`,
    label: `${label}: ${count} hosts`,
    unit: 'us',
    ...(count === hostCounts[0] ? {} : { peer }),
    ...(name === 'changing' ? {} : { goal: atMost(5) }),
  }));
}

function ofPaths(name: string, label: string, unit: RowSpec['unit']): RowSpec[] {
  const peer = `${name} direct`;
  return [
    { name: peer, label: `${label}: direct`, unit },
    { name: `${name} enrolled`, label: `${label}: enrolled`, unit, peer },
    { name: `${name} waypoint`, label: `${label}: through the waypoint`, unit, peer },
  ];
}
