import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { resolveInside } from '../host/path-inside.js';

/** A user as the image's own files know it. */
export interface ImageUser {
  readonly uid: number;
  readonly gid: number;
  /** Further groups that list the user as a member. */
  readonly groups: readonly number[];
  readonly home: string;
  /** Whether the image's configuration says a number, which can be checked without the image's files. */
  readonly isNumeric: boolean;
}

/** A user or group that the image names but does not have. */
export class ImageUserError extends Error {
  override readonly name = 'ImageUserError';
}

const fileMaxBytes = 1024 * 1024;
const idMax = 2 ** 32 - 2;

/**
 * Looks a user (`name`, `uid`, `name:group`, `uid:gid`, or empty for root) up in
 * /etc/passwd and /etc/group below `root`. A number needs no entry there. Throws
 * {@link ImageUserError} for names that are not.
 */
export async function imageUser(root: string, user: string): Promise<ImageUser> {
  const [name = '', group] = user.split(':', 2);
  const wanted = name === '' ? '0' : name;
  const number = idOf(wanted);
  const passwd = (await linesOf(root, '/etc/passwd')).find((fields) =>
    number === undefined ? fields[0] === wanted : idOf(fields[2]) === number,
  );
  const uid = number ?? idOf(passwd?.[2]);
  if (uid === undefined)
    throw new ImageUserError(`unable to find user ${wanted}: no matching entries in passwd file`);
  const groupFile = await linesOf(root, '/etc/group');
  const gid = groupOf(group, groupFile) ?? idOf(passwd?.[3]) ?? 0;
  const login = passwd?.[0];
  const groups = groupFile
    .filter((fields) => login !== undefined && (fields[3] ?? '').split(',').includes(login))
    .map((fields) => idOf(fields[2]))
    .filter((id): id is number => id !== undefined && id !== gid);
  return {
    uid,
    gid,
    groups: group === undefined || group === '' ? [...new Set(groups)] : [],
    home: passwd?.[5] || '/',
    isNumeric: number !== undefined,
  };
}

function groupOf(group: string | undefined, file: readonly string[][]): number | undefined {
  if (group === undefined || group === '') return undefined;
  const id = idOf(group) ?? idOf(file.find((fields) => fields[0] === group)?.[2]);
  if (id === undefined)
    throw new ImageUserError(`unable to find group ${group}: no matching entries in group file`);
  return id;
}

function idOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= idMax ? id : undefined;
}

/** The fields of each line; nothing when there is no such file, as in images made from scratch. */
async function linesOf(root: string, path: string): Promise<string[][]> {
  try {
    const file = await open(join(root, await resolveInside(root, path)));
    try {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(fileMaxBytes), 0, fileMaxBytes, 0);
      return buffer
        .toString('utf8', 0, bytesRead)
        .split('\n')
        .filter((line) => line.includes(':'))
        .map((line) => line.split(':'));
    } finally {
      await file.close();
    }
  } catch {
    return [];
  }
}
