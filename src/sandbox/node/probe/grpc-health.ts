import { connect } from 'node:http2';
import type { Socket } from 'node:net';

/** gRPC status code UNIMPLEMENTED. */
const unimplemented = '12';
/** HealthCheckResponse.ServingStatus. */
const servingStatus = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];
const answerMaxBytes = 64 * 1024;

/**
 * One call of grpc.health.v1.Health/Check over an open socket. Resolves to
 * undefined when the service is SERVING, otherwise to what was wrong; rejects when
 * there is no gRPC server at the other end.
 */
export function checkGrpcHealth(
  socket: Socket,
  { service, timeoutMs }: { service: string; timeoutMs: number },
): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const session = connect('http://probe', { createConnection: () => socket });
    const finish = (problem: string | undefined): void => {
      clearTimeout(timer);
      session.destroy();
      resolve(problem);
    };
    const timer = setTimeout(() => finish('timeout: health rpc did not complete'), timeoutMs);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      session.destroy();
      reject(error);
    };
    session.on('error', fail);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const chunks: Buffer[] = [];
    let size = 0;
    let grpcStatus: string | undefined;
    stream.on('response', (headers) => {
      grpcStatus = headers['grpc-status']?.toString();
    });
    stream.on('trailers', (trailers) => {
      grpcStatus = trailers['grpc-status']?.toString() ?? grpcStatus;
    });
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > answerMaxBytes) finish('health rpc: answer too large');
      else chunks.push(chunk);
    });
    stream.on('error', fail);
    stream.on('close', () => {
      if (grpcStatus === undefined) fail(new Error('the connection was closed without an answer'));
      else finish(problemOf(Buffer.concat(chunks), grpcStatus));
    });
    stream.end(frame(service));
  });
}

/** HealthCheckRequest { service = 1 } in a gRPC frame. */
function frame(service: string): Buffer {
  const name = Buffer.from(service);
  const message =
    name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, ...varint(name.length)]), name]);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** A length as protobuf writes it. */
function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >> 7)];
}

/** HealthCheckResponse { status = 1 }: 1 is SERVING; an absent field is 0, UNKNOWN. */
function problemOf(answer: Buffer, grpcStatus: string): string | undefined {
  if (grpcStatus === unimplemented)
    return 'error: this server does not implement the grpc health protocol (grpc.health.v1.Health)';
  if (grpcStatus !== '0') return `error: health rpc probe failed: rpc error: code = ${grpcStatus}`;
  const status = answer.length >= 7 && answer[5] === 0x08 ? (answer[6] ?? 0) : 0;
  if (status === 1) return undefined;
  return `service unhealthy (responded with "${servingStatus[status] ?? String(status)}")`;
}
