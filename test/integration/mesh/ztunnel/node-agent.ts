import { closeSync } from 'node:fs';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { openNetns } from '#base/system/netns.js';
import { listenSeqpacket, type SeqpacketConnection, type SeqpacketServer } from '#mesh/system/seqpacket.js';
import { WorkloadRequestSchema, WorkloadResponseSchema, ZdsHelloSchema } from '#mesh/xds/gen/istio/zds_pb.js';

type Request = MessageInitShape<typeof WorkloadRequestSchema>;

/** The CNI agent's end of the ZDS socket, speaking the protocol by hand. */
export class NodeAgent {
  private connection: SeqpacketConnection | undefined;
  private readonly server: SeqpacketServer;
  private arrived: (() => void) | undefined;

  constructor(path: string) {
    this.server = listenSeqpacket(path, (connection) => {
      this.connection = connection;
      // One proxy per agent here; a waiting accept would keep one of the process's few threads busy.
      this.server.close();
      this.arrived?.();
    });
  }

  get isConnected(): boolean {
    return this.connection !== undefined;
  }

  /** Waits for a proxy and its greeting, then sends an empty snapshot. */
  async greet(): Promise<void> {
    if (this.connection === undefined) await new Promise<void>((resolve) => (this.arrived = resolve));
    const hello = await this.connection?.receive();
    if (hello === undefined) throw new Error('no greeting');
    const { version } = fromBinary(ZdsHelloSchema, hello.data);
    if (version !== 1) throw new Error(`greeting with version ${version}`);
    const error = await this.send({ payload: { case: 'snapshotSent', value: {} } });
    if (error !== '') throw new Error(error);
  }

  /** Enrolls a pod; returns the error of the acknowledgement, empty on success. */
  async add(o: { uid: string; name: string; serviceAccount: string; nsPath: string }): Promise<string> {
    const fd = openNetns(o.nsPath);
    try {
      const workloadInfo = { name: o.name, namespace: 'shop', serviceAccount: o.serviceAccount };
      return await this.send({ payload: { case: 'add', value: { uid: o.uid, workloadInfo } } }, fd);
    } finally {
      closeSync(fd);
    }
  }

  async remove(uid: string): Promise<string> {
    return await this.send({ payload: { case: 'del', value: { uid } } });
  }

  close(): void {
    this.connection?.close();
    this.server.close();
  }

  private async send(request: Request, fd?: number): Promise<string> {
    const { connection } = this;
    if (connection === undefined) throw new Error('no proxy is connected');
    await connection.send(toBinary(WorkloadRequestSchema, create(WorkloadRequestSchema, request)), fd);
    const answer = await connection.receive();
    if (answer === undefined) throw new Error('the proxy closed the connection');
    const { payload } = fromBinary(WorkloadResponseSchema, answer.data);
    if (payload.case !== 'ack') throw new Error('not an acknowledgement');
    return payload.value.error;
  }
}
