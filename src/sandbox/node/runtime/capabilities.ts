import type { SecurityContext } from '../model/pod.js';

/** What container runtimes grant when nothing is asked for (containerd's default set). */
const runtimeDefaults = [
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'NET_RAW',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
] as const;

/**
 * The capabilities of a container: `all`, or names with the CAP_ prefix. `add`
 * wins over `drop: [ALL]`, a named drop wins over `add: [ALL]`, as in container runtimes.
 */
export function capabilitiesOf(context: SecurityContext | undefined): 'all' | string[] {
  if (context?.privileged === true) return 'all';
  const add = (context?.capabilities?.add ?? []).map(bare);
  const drop = (context?.capabilities?.drop ?? []).map(bare);
  if (add.includes('ALL') && drop.length === 0) return 'all';
  const base: readonly string[] = add.includes('ALL')
    ? allCapabilities
    : drop.includes('ALL')
      ? []
      : runtimeDefaults;
  const result = new Set(base.filter((c) => !drop.includes(c)));
  for (const name of add) if (name !== 'ALL') result.add(name);
  return [...result].sort().map((c) => `CAP_${c}`);
}

function bare(name: string): string {
  return name.toUpperCase().replace(/^CAP_/, '');
}

/** linux/capability.h, up to CAP_CHECKPOINT_RESTORE. */
const allCapabilities = [
  ...runtimeDefaults,
  'AUDIT_CONTROL',
  'AUDIT_READ',
  'BLOCK_SUSPEND',
  'BPF',
  'CHECKPOINT_RESTORE',
  'DAC_READ_SEARCH',
  'IPC_LOCK',
  'IPC_OWNER',
  'LEASE',
  'LINUX_IMMUTABLE',
  'MAC_ADMIN',
  'MAC_OVERRIDE',
  'NET_ADMIN',
  'NET_BROADCAST',
  'PERFMON',
  'SYS_ADMIN',
  'SYS_BOOT',
  'SYS_MODULE',
  'SYS_NICE',
  'SYS_PACCT',
  'SYS_PTRACE',
  'SYS_RAWIO',
  'SYS_RESOURCE',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'SYSLOG',
  'WAKE_ALARM',
];
