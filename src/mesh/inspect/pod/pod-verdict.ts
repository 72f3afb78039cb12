import { counted } from '#base/collections/counted.js';
import { isCaptured } from '../capture-report.js';
import type { PodEvidence } from './pod-evidence.js';

/** How a pod stands to the mesh, in one word. */
export type PodVerdict =
  /** Every live connection was seen encrypted. */
  | 'mtls'
  /** Live connections in plaintext beside encrypted ones, or alone. */
  | 'plaintext'
  /** Captured, with a valid certificate; no live connection to look at. */
  | 'ready'
  /** Should be in the mesh and is not (or the reverse), cannot prove its identity, or is called through nothing. */
  | 'broken'
  /** Something that would tell could not be asked. */
  | 'unknown'
  | 'not-in-mesh'
  /** Has no network yet. */
  | 'pending'
  /** A pod of the mesh itself. */
  | 'mesh-component';

/** The conclusion, from the weakest evidence up. Claims encryption only where it was seen. */
export function judgePod(evidence: PodEvidence): { readonly verdict: PodVerdict; readonly summary: string } {
  const { intent, observed, certificate, connections, waypoint, role, notStarted, pod } = evidence;
  if (notStarted !== undefined) return { verdict: 'pending', summary: `pending: ${notStarted.why}` };
  if (role !== undefined) {
    return { verdict: 'mesh-component', summary: `${role}, ${pod.isReady ? 'ready' : 'not ready'}` };
  }
  const hasCapture = observed.capture !== undefined && isCaptured(observed.capture);
  if (!intent.isEnrolled) {
    return hasCapture
      ? { verdict: 'broken', summary: `captured although it should not be: ${intent.reason}` }
      : { verdict: 'not-in-mesh', summary: `not in the mesh: ${intent.reason}` };
  }
  if (observed.capture !== undefined && !hasCapture) {
    return {
      verdict: 'broken',
      summary: 'enrolled, but not captured: its traffic does not go through the mesh',
    };
  }
  if (observed.capture === undefined || certificate === undefined) {
    return { verdict: 'unknown', summary: 'enrolled; what it really does could not be observed' };
  }
  if (!certificate.isValid || observed.ztunnelState !== 'Up') {
    return {
      verdict: 'broken',
      summary: 'captured, but without a working proxy and certificate: its traffic is refused',
    };
  }
  if (waypoint !== undefined && waypoint.isUsed && !waypoint.isReady) {
    return {
      verdict: 'broken',
      summary: `captured, but calls to its address are refused: waypoint ${waypoint.namespace}/${waypoint.name} is not ready`,
    };
  }
  const encrypted = connections.filter((c) => c.isEncrypted);
  if (connections.length === 0) {
    return {
      verdict: 'ready',
      summary: 'captured and ready for mTLS; no live connection to observe right now',
    };
  }
  const first = encrypted[0];
  if (first !== undefined && encrypted.length === connections.length) {
    return {
      verdict: 'mtls',
      summary: `mTLS: ${connections.length} of ${counted(connections.length, 'live connection')} encrypted (${first.evidence})`,
    };
  }
  return {
    verdict: 'plaintext',
    summary: `${encrypted.length} of ${counted(connections.length, 'live connection')} encrypted`,
  };
}
