import { createSocket } from 'node:dgram';
import { decode, encode } from 'dns-packet';
import { familyOf } from '#base/net/address.js';
import { bindUdp } from '#base/system/socket.js';
import type { NetworkPlan } from './network-plan.js';
import { clusterDomain } from './sandbox-config.js';

const answerTimeoutMs = 250;

/** Whether cluster DNS, asked through its service address from a network namespace, knows the API server's name. */
export async function clusterDnsAnswers(netns: number, plan: NetworkPlan): Promise<boolean> {
  const isV6 = familyOf(plan.dnsIp) === 'IPv6';
  const type = isV6 ? 'AAAA' : 'A';
  const socket = createSocket(isV6 ? 'udp6' : 'udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ fd: bindUdp({ netns, host: isV6 ? '::' : '0.0.0.0', port: 0 }) }, resolve);
    });
    const name = `kubernetes.default.svc.${clusterDomain}`;
    const query = encode({ type: 'query', id: 1, questions: [{ type, name }] });
    return await new Promise<boolean>((resolve) => {
      setTimeout(() => resolve(false), answerTimeoutMs).unref();
      socket.on('error', () => resolve(false));
      socket.on('message', (message) => {
        const answers = decode(message).answers ?? [];
        resolve(answers.some((a) => a.type === type && a.data === plan.apiServiceIp));
      });
      socket.send(query, 53, plan.dnsIp, (error) => {
        if (error !== null) resolve(false); // no route yet
      });
    });
  } finally {
    socket.close();
  }
}
