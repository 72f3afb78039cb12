import type { Finding } from '../findings/finding.js';

/** How far the clock of a node is ahead of this machine's, in milliseconds; behind when negative. */
export interface NodeClock {
  readonly node: string;
  readonly aheadMs: number;
}

/** Certificates start two minutes in the past, and answers tell the time in whole seconds. */
const skewMaxMs = 30_000;

/** Nodes whose clocks differ from those of most others, or all of them from this machine's. */
export function clockFindings(clocks: readonly NodeClock[]): readonly Finding[] {
  if (clocks.length === 0) return [];
  const sorted = clocks.map(({ aheadMs }) => aheadMs).sort((a, b) => a - b);
  const usual = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
  const odd = clocks.filter(({ aheadMs }) => Math.abs(aheadMs - usual) > skewMaxMs);
  const ofNodes = odd.map(({ node, aheadMs }): Finding => {
    const seconds = Math.round(Math.abs(aheadMs - usual) / 1000);
    const direction = aheadMs > usual ? 'ahead of' : 'behind';
    return {
      code: 'MESH0963',
      severity: 'error',
      message: `the clock of node ${node} is ${seconds} s ${direction} those of the other nodes: certificates count as expired or not yet valid`,
      subject: { kind: 'Node', name: node },
      fix: `Let the node synchronize its clock: timedatectl status on ${node}`,
    };
  });
  if (Math.abs(usual) <= skewMaxMs) return ofNodes;
  const seconds = Math.round(Math.abs(usual) / 1000);
  return [
    ...ofNodes,
    {
      code: 'MESH0963',
      severity: 'info',
      message: `this machine's clock is ${seconds} s ${usual > 0 ? 'behind' : 'ahead of'} those of the nodes: ages are off by as much`,
    },
  ];
}
