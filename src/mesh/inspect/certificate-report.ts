import type { ZtunnelDump } from './ztunnel-dump.js';

/** The certificate in use for an identity, as its holder shows it. */
export interface CertificateReport {
  /** `Available`, `Initializing`, `Unavailable: reason`, or `Absent`. */
  readonly state: string;
  readonly serial?: string;
  readonly notBefore?: string;
  readonly notAfter?: string;
  readonly secondsLeft?: number;
  readonly isValid: boolean;
}

/** Looks an identity's leaf certificate up in a node proxy's dump. `now` in milliseconds. */
export function certificateOf(dump: ZtunnelDump, identity: string, now: number): CertificateReport {
  const entry = dump.certificates.find((c) => c.identity === identity);
  const leaf = entry?.certChain?.[0];
  if (entry === undefined) return { state: 'Absent', isValid: false };
  if (leaf === undefined) return { state: entry.state, isValid: false };
  const from = Date.parse(leaf.validFrom);
  const until = Date.parse(leaf.expirationTime);
  return {
    state: entry.state,
    serial: hexSerial(leaf.serialNumber),
    notBefore: leaf.validFrom,
    notAfter: leaf.expirationTime,
    secondsLeft: Math.floor((until - now) / 1000),
    isValid: entry.state === 'Available' && from <= now && now < until,
  };
}

/** Serials are decimal in the dump and hexadecimal everywhere people compare them. */
export function hexSerial(decimal: string): string {
  return /^\d+$/.test(decimal) ? BigInt(decimal).toString(16) : decimal;
}
