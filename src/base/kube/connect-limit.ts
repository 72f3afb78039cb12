import type { ClientRequest } from 'node:http';
import type { Socket } from 'node:net';
import { MeshError } from '../errors/mesh-error.js';

export interface ConnectLimit {
  /** Base URL, for the message. */
  readonly server: string;
  readonly isTls: boolean;
  /** Nothing came from this server yet: its answer counts as part of the connection. */
  readonly isFirst: boolean;
  /** Milliseconds. */
  readonly limitMs: number;
  /** Told at once: a request that waits for the agent of a proxy does not notice that it is destroyed. */
  readonly onOver: (error: MeshError) => void;
}

/**
 * Ends a request with MESH0211 when no connection stands in time: one that packets are dropped for, or that is
 * accepted by something that never speaks, would otherwise be waited for as long as for an answer.
 */
export function limitConnect(request: ClientRequest, o: ConnectLimit): void {
  let lacking = 'no connection';
  const timer = setTimeout(() => {
    const error = new MeshError('MESH0211', `the cluster at ${o.server} does not answer`, {
      evidence: `${lacking} within ${Math.round(o.limitMs / 100) / 10} s`,
    });
    o.onOver(error);
    request.destroy(error);
  }, o.limitMs);
  const stop = (): void => clearTimeout(timer);
  const onEstablished = (): void => {
    lacking = 'the connection stands, but no answer came';
    if (!o.isFirst) stop();
  };
  const onConnect = (): void => {
    if (o.isTls) lacking = 'a TCP connection stands, but the TLS handshake did not end';
    else onEstablished();
  };
  request.once('socket', (socket: Socket) => {
    // Kept from an earlier request, or made by the agent of a proxy.
    if (!socket.connecting) onEstablished();
    else {
      lacking = 'no TCP connection';
      socket.once('lookup', (error: Error | null) => {
        if (error === null) lacking = 'the name was resolved, but no TCP connection stood';
      });
      socket.once('connect', onConnect);
      if (o.isTls) socket.once('secureConnect', onEstablished);
    }
  });
  request.once('response', stop).once('close', stop);
}
