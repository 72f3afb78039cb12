import type { Duplex } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import { bytesOf } from './web-socket-duplex.js';

const portsMax = 100;

/** Opens a connection to a port of the pod. */
export type PortOpener = (port: number) => Promise<Duplex>;

/**
 * Port-forward over plain WebSocket channels: for the i-th port, channel 2i
 * carries data and channel 2i+1 errors; each begins with the port number.
 */
export async function servePortChannels(
  webSocket: WebSocket,
  ports: readonly number[],
  open: PortOpener,
): Promise<void> {
  const closed = new Promise<void>((resolve) => webSocket.once('close', () => resolve()));
  if (
    ports.length === 0 ||
    ports.length > portsMax ||
    ports.some((p) => !Number.isInteger(p) || p < 1 || p > 65535)
  ) {
    webSocket.close(1002, 'query parameter "ports" must name 1 to 100 ports');
    return closed;
  }
  const send = (channel: number, data: Buffer, done?: () => void): void => {
    webSocket.send(Buffer.concat([Buffer.from([channel]), data]), { binary: true }, () => done?.());
  };
  const connections: (Duplex | undefined)[] = [];
  const early: Buffer[][] = ports.map(() => []);
  void closed.then(() => {
    for (const connection of connections) connection?.destroy();
  });
  ports.forEach((port, i) => {
    const prefix = Buffer.alloc(2);
    prefix.writeUInt16LE(port);
    send(2 * i, prefix);
    send(2 * i + 1, prefix);
  });
  webSocket.on('message', (data: RawData) => {
    const raw = bytesOf(data);
    const channel = raw[0] ?? 1;
    if (channel % 2 !== 0) return;
    const connection = connections[channel / 2];
    const payload = raw.subarray(1);
    if (connection === undefined) early[channel / 2]?.push(payload);
    else if (!connection.write(payload)) {
      webSocket.pause();
      connection.once('drain', () => webSocket.resume());
    }
  });
  await Promise.all(
    ports.map(async (port, i) => {
      try {
        const connection = await open(port);
        connections[i] = connection;
        if (webSocket.readyState !== webSocket.OPEN) connection.destroy(); // the client left meanwhile
        for (const chunk of early[i] ?? []) connection.write(chunk);
        connection.on('data', (chunk: Buffer) => {
          connection.pause();
          send(2 * i, chunk, () => connection.resume());
        });
        connection.on('error', (error) => send(2 * i + 1, Buffer.from(error.message)));
        // What the pod has said last is on its way before the connection counts as ended.
        await ended(connection);
      } catch (error) {
        send(2 * i + 1, Buffer.from(error instanceof Error ? error.message : String(error)));
      }
    }),
  );
  // Single ports cannot be closed over channels: kubelet ends the session with the last of them.
  webSocket.close(1000);
  await closed;
}

/** The other side may end first (and its socket stay half open), fail, or be destroyed from here. */
function ended(connection: Duplex): Promise<void> {
  return new Promise((resolve) => {
    for (const event of ['end', 'close']) connection.once(event, () => resolve());
  });
}
