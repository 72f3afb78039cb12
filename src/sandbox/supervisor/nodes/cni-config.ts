import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Ethernet without any encapsulation. */
const mtu = 1500;

/**
 * Writes a node's primary network: every pod hangs on its own point-to-point link,
 * so that all its packets are routed, and service addresses translated, by the node.
 * One address per network.
 */
export async function writeCniConfig(
  rootfs: string,
  podCidrs: readonly string[],
  o: { readonly hasPortmap: boolean },
): Promise<void> {
  const folder = join(rootfs, 'etc/cni/net.d');
  await mkdir(folder, { recursive: true });
  const config = {
    cniVersion: '1.0.0',
    name: 'sandbox',
    plugins: [
      {
        type: 'ptp',
        mtu,
        ipam: {
          type: 'host-local',
          ranges: podCidrs.map((subnet) => [{ subnet }]),
          routes: podCidrs.map((cidr) => ({ dst: cidr.includes(':') ? '::/0' : '0.0.0.0/0' })),
          // Leases end with the node's run, as its pods' networks do.
          dataDir: '/run/cni-ipam',
        },
      },
      // Host ports; the plugins of a distribution come together, but a folder of one's own may lack it.
      ...(o.hasPortmap ? [{ type: 'portmap', snat: true, capabilities: { portMappings: true } }] : []),
    ],
  };
  await writeFile(join(folder, '10-sandbox.conflist'), `${JSON.stringify(config, undefined, 2)}\n`);
}
