import { Duplex } from 'node:stream';
import type { RawData, WebSocket } from 'ws';

/** The bytes of a binary WebSocket message. */
export function bytesOf(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}

/** A WebSocket as one byte stream, message boundaries ignored, with back-pressure both ways. */
export function webSocketDuplex(webSocket: WebSocket): Duplex {
  const duplex = new Duplex({
    read: () => {
      if (webSocket.isPaused) webSocket.resume();
    },
    write: (chunk: Buffer, _encoding, callback) => {
      webSocket.send(chunk, { binary: true }, (error) => callback(error));
    },
    final: (callback) => {
      webSocket.close(1000);
      callback();
    },
    destroy: (error, callback) => {
      webSocket.terminate();
      callback(error);
    },
  });
  webSocket.on('message', (data: RawData) => {
    if (!duplex.push(bytesOf(data))) webSocket.pause();
  });
  webSocket.once('close', () => {
    duplex.push(null);
    duplex.destroy();
  });
  return duplex;
}
