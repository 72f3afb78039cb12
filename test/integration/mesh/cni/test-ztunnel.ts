import { closeSync } from 'node:fs';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { netnsInode } from '#base/system/netns.js';
import { connectSeqpacket, type SeqpacketConnection } from '#mesh/system/seqpacket.js';
import {
  Version,
  WorkloadRequestSchema,
  WorkloadResponseSchema,
  ZdsHelloSchema,
} from '#mesh/xds/gen/istio/zds_pb.js';

/** One request as the node proxy saw it: `add UID inode`, `keep UID`, `del UID`, `snapshot`. */
export type Seen = string;

/** A node proxy reduced to its ZDS side: acknowledges everything, or what `answer` says. */
export class TestZtunnel {
  readonly seen: Seen[] = [];
  readonly workloads: string[] = [];
  isEnded = false;
  #connection: SeqpacketConnection | undefined;
  /** Error text for a request; empty acknowledges, undefined stays silent. */
  answer: (seen: Seen) => string | undefined | Promise<string | undefined> = () => '';

  async connect(path: string): Promise<void> {
    this.#connection = await connectSeqpacket(path);
    const hello = create(ZdsHelloSchema, { version: Version.V1 });
    await this.#connection.send(toBinary(ZdsHelloSchema, hello));
    void this.#serve(this.#connection);
  }

  close(): void {
    this.#connection?.close();
  }

  /** Sends bytes nobody asked for. */
  async sendRaw(data: Uint8Array): Promise<void> {
    await this.#connection?.send(data);
  }

  async #serve(connection: SeqpacketConnection): Promise<void> {
    for (;;) {
      const message = await connection.receive();
      if (message === undefined) break;
      const seen = this.#describe(message.data, message.fds);
      for (const fd of message.fds) closeSync(fd);
      this.seen.push(seen);
      const error = await this.answer(seen);
      if (error === undefined) continue;
      const ack = create(WorkloadResponseSchema, { payload: { case: 'ack', value: { error } } });
      await connection.send(toBinary(WorkloadResponseSchema, ack));
    }
    this.isEnded = true;
  }

  #describe(data: Uint8Array, fds: readonly number[]): Seen {
    const { payload } = fromBinary(WorkloadRequestSchema, data);
    if (payload.case === 'add') {
      const info = payload.value.workloadInfo;
      this.workloads.push(`${info?.namespace}/${info?.name}/${info?.serviceAccount}`);
      return `add ${payload.value.uid} ${fds.map((fd) => netnsInode(fd)).join(',')}`;
    }
    if (fds.length > 0) return `descriptor with ${payload.case}`;
    if (payload.case === 'keep' || payload.case === 'del') return `${payload.case} ${payload.value.uid}`;
    return payload.case === 'snapshotSent' ? 'snapshot' : 'unknown';
  }
}
