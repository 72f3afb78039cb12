import { existsSync } from 'node:fs';

/** The address to listen on for both families; a kernel without IPv6 has only the other one. */
export function everyAddress(): string {
  return existsSync('/proc/net/if_inet6') ? '::' : '0.0.0.0';
}
