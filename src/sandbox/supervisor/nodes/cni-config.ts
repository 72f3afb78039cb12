import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { familyOf } from '#base/net/address.js';
import { pathInside } from '../../node/host/path-inside.js';

/** Ethernet without any encapsulation. */
const mtu = 1500;

/**
 * Writes a node's primary network: every pod hangs on its own point-to-point link,
 * so that all its packets are routed, and service addresses translated, by the node.
 * One address per network. A file that is there stays: what was chained into it since is part of the node, and
 * a pod that starts before the one who chained it must wait for him.
 */
export async function writeCniConfig(
  rootfs: string,
  podCidrs: readonly string[],
  o: { readonly hasPortmap: boolean },
): Promise<void> {
  const folder = await pathInside(rootfs, '/etc/cni/net.d');
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
          routes: podCidrs.map((cidr) => ({ dst: familyOf(cidr) === 'IPv6' ? '::/0' : '0.0.0.0/0' })),
          // Leases end with the node's run, as its pods' networks do.
          dataDir: '/run/cni-ipam',
        },
      },
      // Host ports; the plugins of a distribution come together, but a folder of one's own may lack it.
      ...(o.hasPortmap ? [{ type: 'portmap', snat: true, capabilities: { portMappings: true } }] : []),
    ],
  };
  const text = `${JSON.stringify(config, undefined, 2)}\n`;
  await writeFile(join(folder, '10-sandbox.conflist'), text, { flag: 'wx' }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    },
  );
}
