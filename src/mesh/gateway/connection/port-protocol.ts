import { isServerFirstPort } from '../../rules/app-protocol.js';
import type { DeclaredProtocol } from '../../view/known.js';

/** What is spoken on a port. `sniff`: the connection tells. `tls` is opaque. */
export type PortProtocol = 'http1' | 'http2' | 'tcp' | 'tls' | 'sniff';

/** The protocol of a port by what was declared about it. */
export function portProtocol(port: number, declared: DeclaredProtocol): PortProtocol {
  switch (declared) {
    case 'HTTP11':
      return 'http1';
    case 'HTTP2':
      return 'http2';
    case 'TCP':
      return 'tcp';
    case 'TLS':
      return 'tls';
    case 'Undeclared':
      return isServerFirstPort(port) ? 'tcp' : 'sniff';
  }
}
