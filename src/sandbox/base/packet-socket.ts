import { checkCall, lastErrno, libc, libcHandle, SystemCallError } from '#base/system/libc.js';

const afPacket = 17;
const sockRawNonblockCloexec = 3 | 0o4000 | 0o2000000;
const ethPAll = 0x0003;
const solSocket = 1;
const soRcvbuf = 8;
const soRcvbufforce = 33;
const solPacket = 263;
const packetStatistics = 6;
/** A burst should fit here between two looks. Only the machine's root gets all of it. */
const receiveBufferBytes = 32 * 1024 * 1024;
const msgDontwait = 0x40;
const eagain = 11;

const ifNameToIndex = libcHandle.func('uint32_t if_nametoindex(const char *name)');
const recv = libcHandle.func('int64_t recv(int fd, _Out_ uint8_t *buffer, size_t size, int flags)');

/** Sees every frame that an interface of this network namespace sends or receives. */
export interface PacketSocket {
  /** Copies the next frame into `buffer`; its length, or undefined when none is waiting. */
  read(buffer: Uint8Array): number | undefined;
  /** Frames the kernel had no room for since the last call. */
  takeDropCount(): number;
  close(): void;
}

/** Opens a packet socket on an interface. Throws {@link SystemCallError} (ENODEV, EPERM). */
export function openPacketSocket(interfaceName: string): PacketSocket {
  const index = ifNameToIndex(interfaceName) as number;
  if (index === 0) throw new SystemCallError('if_nametoindex', lastErrno(), interfaceName);
  // Protocol 0: nothing is queued before the socket is bound to its interface.
  const fd = checkCall('socket', libc.socket(afPacket, sockRawNonblockCloexec, 0), '(packet socket)');
  try {
    const size = Buffer.alloc(4);
    size.writeInt32LE(receiveBufferBytes);
    if (libc.setsockopt(fd, solSocket, soRcvbufforce, size, 4) < 0) {
      checkCall('setsockopt', libc.setsockopt(fd, solSocket, soRcvbuf, size, 4), 'SO_RCVBUF');
    }
    const address = Buffer.alloc(20);
    address.writeUInt16LE(afPacket, 0);
    address.writeUInt16BE(ethPAll, 2);
    address.writeInt32LE(index, 4);
    checkCall('bind', libc.bind(fd, address, address.length), interfaceName);
  } catch (error) {
    libc.close(fd);
    throw error;
  }
  return {
    read: (buffer) => {
      const length = Number(recv(fd, buffer, buffer.length, msgDontwait));
      if (length >= 0) return length;
      const errno = lastErrno();
      if (errno === eagain) return undefined;
      throw new SystemCallError('recv', errno, interfaceName);
    },
    takeDropCount: () => {
      const statistics = new Uint8Array(8);
      checkCall(
        'getsockopt',
        libc.getsockopt(fd, solPacket, packetStatistics, statistics, [8]),
        'PACKET_STATISTICS',
      );
      return Buffer.from(statistics.buffer).readUInt32LE(4);
    },
    close: () => void libc.close(fd),
  };
}
