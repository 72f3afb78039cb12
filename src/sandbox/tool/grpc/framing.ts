/** Length-prefixed messages of gRPC over HTTP/2: a flag byte, four bytes of length, the message. */
const prefixBytes = 5;

/** One uncompressed message with its prefix. */
export function frameMessage(message: Buffer): Buffer {
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** The whole messages at the beginning of `bytes`, and what is left of them. Throws when one is larger than allowed. */
export function splitMessages(bytes: Buffer, maxBytes: number): { messages: Buffer[]; rest: Buffer } {
  const messages: Buffer[] = [];
  let at = 0;
  while (bytes.length - at >= prefixBytes) {
    const length = bytes.readUInt32BE(at + 1);
    if (length > maxBytes) throw new Error(`a message of ${length} bytes is larger than ${maxBytes}`);
    if (bytes.length - at < prefixBytes + length) break;
    messages.push(bytes.subarray(at + prefixBytes, at + prefixBytes + length));
    at += prefixBytes + length;
  }
  return { messages, rest: bytes.subarray(at) };
}

/** `grpc.health.v1` messages, each with one field: HealthCheckRequest.service, HealthCheckResponse.status. */
export const health = {
  path: '/grpc.health.v1.Health/',
  request: (service: string): Buffer => {
    const name = Buffer.from(service);
    return service === '' ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, name.length]), name]);
  },
  serving: Buffer.from([0x08, 0x01]),
  statusOf: (response: Buffer): string => {
    const names = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];
    return names[response[0] === 0x08 ? (response[1] ?? 0) : 0] ?? 'UNKNOWN';
  },
};
