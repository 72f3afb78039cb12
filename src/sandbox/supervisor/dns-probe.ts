import { createSocket } from 'node:dgram';
import { decode, encode } from 'dns-packet';
import { bindUdp } from '../../system/socket.js';
import { clusterNetwork } from './sandbox-config.js';

const answerTimeoutMs = 250;

/** Whether cluster DNS, asked through its service address from a network namespace, knows the API server's name. */
export async function clusterDnsAnswers(netns: number): Promise<boolean> {
  const socket = createSocket('udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ fd: bindUdp({ netns, host: '0.0.0.0', port: 0 }) }, resolve);
    });
    const name = `kubernetes.default.svc.${clusterNetwork.domain}`;
    const query = encode({ type: 'query', id: 1, questions: [{ type: 'A', name }] });
    return await new Promise<boolean>((resolve) => {
      setTimeout(() => resolve(false), answerTimeoutMs).unref();
      socket.on('error', () => resolve(false));
      socket.on('message', (message) => {
        const answers = decode(message).answers ?? [];
        resolve(answers.some((a) => a.type === 'A' && a.data === clusterNetwork.apiServiceIp));
      });
      socket.send(query, 53, clusterNetwork.dnsIp, (error) => {
        if (error !== null) resolve(false); // no route yet
      });
    });
  } finally {
    socket.close();
  }
}
