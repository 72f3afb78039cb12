import { MeshError } from '#base/errors/mesh-error.js';

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'the file system is read-only',
  ENOTDIR: 'a part of the path is a file',
};

/** MESH0814 for an error that the place of the files is to blame for; undefined for any other. */
export function filesError(error: unknown, where: string): MeshError | undefined {
  // Of a copy `path` is what was read.
  const { code = '', message, path, dest } = error as Partial<NodeJS.ErrnoException> & { dest?: string };
  const reason = reasons[code];
  if (reason === undefined) return undefined;
  return new MeshError('MESH0814', `${dest ?? path ?? where} cannot be written: ${reason}`, {
    evidence: message,
    cause: error,
  });
}
