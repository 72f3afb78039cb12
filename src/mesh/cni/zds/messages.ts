import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  Version,
  WorkloadRequestSchema,
  WorkloadResponseSchema,
  ZdsHelloSchema,
} from '../../xds/gen/istio/zds_pb.js';

/** A pod as the node proxy knows it; linked to xDS by name, namespace and service account. */
export interface ZdsWorkload {
  /** Kubernetes UID of the pod. */
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** `add`: sent together with one descriptor, the pod's network namespace. */
export function encodeAdd(workload: ZdsWorkload): Uint8Array {
  const { uid, ...workloadInfo } = workload;
  return encode({ case: 'add', value: { uid, workloadInfo } });
}

/** `keep`: the pod is enrolled, its namespace is not known to this agent. */
export function encodeKeep(uid: string): Uint8Array {
  return encode({ case: 'keep', value: { uid } });
}

/** `del`: the pod left the mesh. */
export function encodeDel(uid: string): Uint8Array {
  return encode({ case: 'del', value: { uid } });
}

/** End of the snapshot that every connection begins with. */
export function encodeSnapshotSent(): Uint8Array {
  return encode({ case: 'snapshotSent', value: {} });
}

type Payload = NonNullable<Parameters<typeof create<typeof WorkloadRequestSchema>>[1]>['payload'];

function encode(payload: NonNullable<Payload>): Uint8Array {
  return toBinary(WorkloadRequestSchema, create(WorkloadRequestSchema, { payload }));
}

/** Throws when the bytes are not a hello of version 1. */
export function checkHello(data: Uint8Array): void {
  const hello = fromBinary(ZdsHelloSchema, data);
  if (hello.version !== Version.V1) throw new Error(`unsupported ZDS version ${hello.version}`);
}

/** The error text of an acknowledgement; empty when the request succeeded. Throws on other messages. */
export function decodeAck(data: Uint8Array): string {
  const response = fromBinary(WorkloadResponseSchema, data);
  if (response.payload.case !== 'ack') throw new Error('expected an acknowledgement');
  return response.payload.value.error;
}
