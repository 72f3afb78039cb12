import { ftruncateSync, writeSync } from 'node:fs';

const maxBytesDefault = 20 * 1024 * 1024;

/**
 * A sink for log lines that writes to an open file and starts the file over rather than fill the disk. On a
 * full one lines are lost, as there is nowhere to say it; process.stdout would end the program for it.
 */
export function boundedLog(fd: number, maxBytes: number = maxBytesDefault): (line: string) => void {
  let written = 0;
  return (line) => {
    try {
      written += Buffer.byteLength(line);
      if (written > maxBytes) {
        ftruncateSync(fd, 0);
        written = Buffer.byteLength(line);
      }
      writeSync(fd, line);
    } catch {
      // The next line may find room.
    }
  };
}
