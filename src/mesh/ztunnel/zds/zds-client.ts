import { closeSync } from 'node:fs';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { pause } from '#base/system/until.js';
import { connectSeqpacket, type SeqpacketConnection, type SeqpacketMessage } from '../../system/seqpacket.js';
import { createLogger } from '#base/telemetry/log.js';
import {
  Version,
  type WorkloadRequest,
  WorkloadRequestSchema,
  WorkloadResponseSchema,
  ZdsHelloSchema,
} from '../../xds/gen/istio/zds_pb.js';
import type { WorkloadManager } from './workload-manager.js';

const connectFirstMs = 10;
const connectMaxMs = 15_000;

const log = createLogger('zds');

/**
 * Receives pods from the node's CNI agent: connects, greets, answers every message with one acknowledgement, and
 * connects again when the agent went away. Rejects with MESH0504 when the agent breaks the protocol in a way that
 * leaves the state of its pods unknown.
 */
export async function runZdsClient(options: {
  path: string;
  manager: WorkloadManager;
  signal: AbortSignal;
}): Promise<void> {
  const { path, manager, signal } = options;
  let delayMs = connectFirstMs;
  while (!signal.aborted) {
    let connection: SeqpacketConnection | undefined;
    try {
      connection = await connectSeqpacket(path);
      const hello = create(ZdsHelloSchema, { version: Version.V1 });
      await connection.send(toBinary(ZdsHelloSchema, hello));
      delayMs = connectFirstMs;
      log.info('connected to the CNI agent', { path });
      manager.beginSnapshot();
      await converse(connection, manager, signal);
      log.warn('the CNI agent closed the connection');
    } catch (error) {
      if (error instanceof MeshError) throw error;
      log.warn('no connection to the CNI agent', { path, error: messageOf(error), retryMs: delayMs });
    } finally {
      connection?.close();
      manager.disconnected();
    }
    await pause(delayMs, signal);
    delayMs = Math.min(delayMs * 2, connectMaxMs);
  }
}

async function converse(
  connection: SeqpacketConnection,
  manager: WorkloadManager,
  signal: AbortSignal,
): Promise<void> {
  const close = (): void => connection.close();
  signal.addEventListener('abort', close, { once: true });
  try {
    for (;;) {
      const message = await connection.receive();
      if (message === undefined) return;
      const outcome = await handle(message, manager);
      const ack = create(WorkloadResponseSchema, {
        payload: { case: 'ack', value: { error: outcome.error } },
      });
      await connection.send(toBinary(WorkloadResponseSchema, ack));
      if (outcome.isUnreadable) return;
    }
  } finally {
    signal.removeEventListener('abort', close);
  }
}

/** Carries out one message; `error` is empty on success. */
async function handle(
  message: SeqpacketMessage,
  manager: WorkloadManager,
): Promise<{ error: string; isUnreadable: boolean }> {
  const fds = [...message.fds];
  try {
    let request: WorkloadRequest;
    try {
      request = fromBinary(WorkloadRequestSchema, message.data);
    } catch (error) {
      return { error: `message cannot be read: ${messageOf(error)}`, isUnreadable: true };
    }
    const { payload } = request;
    const fdsExpected = payload.case === 'add' ? 1 : 0;
    if (fds.length !== fdsExpected) {
      return { error: `expected ${fdsExpected} descriptors, got ${fds.length}`, isUnreadable: true };
    }
    switch (payload.case) {
      case 'add': {
        const { uid, workloadInfo } = payload.value;
        if (workloadInfo === undefined)
          throw new MeshError('MESH0504', `the CNI agent added ${uid} without naming it`);
        const netns = fds.pop();
        if (netns === undefined) return { error: 'no descriptor', isUnreadable: true };
        const { name, namespace, serviceAccount } = workloadInfo;
        await manager.add(uid, { name, namespace, serviceAccount }, netns);
        break;
      }
      case 'keep':
        if (!manager.keep(payload.value.uid)) {
          throw new MeshError('MESH0504', 'the CNI agent sent "keep" outside of a snapshot');
        }
        break;
      case 'del':
        manager.remove(payload.value.uid);
        break;
      case 'snapshotSent':
        if (!manager.endSnapshot()) throw new MeshError('MESH0504', 'the CNI agent sent two snapshots');
        break;
      default:
        return { error: 'message without payload', isUnreadable: true };
    }
    return { error: '', isUnreadable: false };
  } catch (error) {
    if (error instanceof MeshError) throw error;
    return { error: messageOf(error), isUnreadable: false };
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}
