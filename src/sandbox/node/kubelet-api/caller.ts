import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { kubeletClientUser } from '../../base/api-server.js';

/** Why a caller is refused; undefined for an API server of this cluster. */
export function refusalOf(request: IncomingMessage): { status: 401 | 403; message: string } | undefined {
  const { socket } = request;
  if (!(socket instanceof TLSSocket) || !socket.authorized) return { status: 401, message: 'Unauthorized' };
  const name = socket.getPeerCertificate().subject.CN;
  if (name === kubeletClientUser) return undefined;
  return {
    status: 403,
    message: `Forbidden (user=${String(name)}, verb=${request.method === 'POST' ? 'create' : 'get'}, resource=nodes, subresource=proxy)`,
  };
}
