/** Machines whose system calls are known here, by Node's names. */
export type Architecture = 'x64' | 'arm64';

interface SystemCall {
  /** Its number; absent where there is no such call. */
  readonly x64?: number;
  readonly arm64?: number;
  /** Any of these capabilities opens it; without them nothing does. */
  readonly openedBy?: readonly string[];
}

/** System calls that containers with the default seccomp profile may not make (numbers: linux asm/unistd.h). */
export const systemCalls: Readonly<Record<string, SystemCall>> = {
  add_key: { x64: 248, arm64: 217 },
  request_key: { x64: 249, arm64: 218 },
  keyctl: { x64: 250, arm64: 219 },
  kexec_load: { x64: 246, arm64: 104 },
  kexec_file_load: { x64: 320, arm64: 294 },
  nfsservctl: { x64: 180, arm64: 42 },
  pivot_root: { x64: 155, arm64: 41 },
  swapon: { x64: 167, arm64: 224 },
  swapoff: { x64: 168, arm64: 225 },
  sysfs: { x64: 139 },
  _sysctl: { x64: 156 },
  uselib: { x64: 134 },
  ustat: { x64: 136 },
  userfaultfd: { x64: 323, arm64: 282 },
  create_module: { x64: 174 },
  get_kernel_syms: { x64: 177 },
  query_module: { x64: 178 },
  move_pages: { x64: 279, arm64: 239 },
  migrate_pages: { x64: 256, arm64: 238 },
  io_uring_setup: { x64: 425, arm64: 425 },
  io_uring_enter: { x64: 426, arm64: 426 },
  io_uring_register: { x64: 427, arm64: 427 },
  quotactl_fd: { x64: 443, arm64: 443 },
  mount: { x64: 165, arm64: 40, openedBy: ['CAP_SYS_ADMIN'] },
  umount2: { x64: 166, arm64: 39, openedBy: ['CAP_SYS_ADMIN'] },
  setns: { x64: 308, arm64: 268, openedBy: ['CAP_SYS_ADMIN'] },
  unshare: { x64: 272, arm64: 97, openedBy: ['CAP_SYS_ADMIN'] },
  sethostname: { x64: 170, arm64: 161, openedBy: ['CAP_SYS_ADMIN'] },
  setdomainname: { x64: 171, arm64: 162, openedBy: ['CAP_SYS_ADMIN'] },
  lookup_dcookie: { x64: 212, arm64: 18, openedBy: ['CAP_SYS_ADMIN'] },
  fanotify_init: { x64: 300, arm64: 262, openedBy: ['CAP_SYS_ADMIN'] },
  quotactl: { x64: 179, arm64: 60, openedBy: ['CAP_SYS_ADMIN'] },
  fsopen: { x64: 430, arm64: 430, openedBy: ['CAP_SYS_ADMIN'] },
  fsconfig: { x64: 431, arm64: 431, openedBy: ['CAP_SYS_ADMIN'] },
  fsmount: { x64: 432, arm64: 432, openedBy: ['CAP_SYS_ADMIN'] },
  fspick: { x64: 433, arm64: 433, openedBy: ['CAP_SYS_ADMIN'] },
  move_mount: { x64: 429, arm64: 429, openedBy: ['CAP_SYS_ADMIN'] },
  open_tree: { x64: 428, arm64: 428, openedBy: ['CAP_SYS_ADMIN'] },
  mount_setattr: { x64: 442, arm64: 442, openedBy: ['CAP_SYS_ADMIN'] },
  bpf: { x64: 321, arm64: 280, openedBy: ['CAP_SYS_ADMIN', 'CAP_BPF'] },
  perf_event_open: { x64: 298, arm64: 241, openedBy: ['CAP_SYS_ADMIN', 'CAP_PERFMON'] },
  syslog: { x64: 103, arm64: 116, openedBy: ['CAP_SYS_ADMIN', 'CAP_SYSLOG'] },
  reboot: { x64: 169, arm64: 142, openedBy: ['CAP_SYS_BOOT'] },
  chroot: { x64: 161, arm64: 51, openedBy: ['CAP_SYS_CHROOT'] },
  init_module: { x64: 175, arm64: 105, openedBy: ['CAP_SYS_MODULE'] },
  finit_module: { x64: 313, arm64: 273, openedBy: ['CAP_SYS_MODULE'] },
  delete_module: { x64: 176, arm64: 106, openedBy: ['CAP_SYS_MODULE'] },
  acct: { x64: 163, arm64: 89, openedBy: ['CAP_SYS_PACCT'] },
  kcmp: { x64: 312, arm64: 272, openedBy: ['CAP_SYS_PTRACE'] },
  pidfd_getfd: { x64: 438, arm64: 438, openedBy: ['CAP_SYS_PTRACE'] },
  process_madvise: { x64: 440, arm64: 440, openedBy: ['CAP_SYS_PTRACE'] },
  process_vm_readv: { x64: 310, arm64: 270, openedBy: ['CAP_SYS_PTRACE'] },
  process_vm_writev: { x64: 311, arm64: 271, openedBy: ['CAP_SYS_PTRACE'] },
  iopl: { x64: 172, openedBy: ['CAP_SYS_RAWIO'] },
  ioperm: { x64: 173, openedBy: ['CAP_SYS_RAWIO'] },
  settimeofday: { x64: 164, arm64: 170, openedBy: ['CAP_SYS_TIME'] },
  clock_settime: { x64: 227, arm64: 112, openedBy: ['CAP_SYS_TIME'] },
  vhangup: { x64: 153, arm64: 58, openedBy: ['CAP_SYS_TTY_CONFIG'] },
  get_mempolicy: { x64: 239, arm64: 236, openedBy: ['CAP_SYS_NICE'] },
  mbind: { x64: 237, arm64: 235, openedBy: ['CAP_SYS_NICE'] },
  set_mempolicy: { x64: 238, arm64: 237, openedBy: ['CAP_SYS_NICE'] },
  set_mempolicy_home_node: { x64: 450, arm64: 450, openedBy: ['CAP_SYS_NICE'] },
  open_by_handle_at: { x64: 304, arm64: 265, openedBy: ['CAP_DAC_READ_SEARCH'] },
};

/** Calls that are allowed or not by their arguments. */
const inspected: Readonly<Record<string, SystemCall>> = {
  socket: { x64: 41, arm64: 198 },
  clone: { x64: 56, arm64: 220 },
  clone3: { x64: 435, arm64: 435 },
};

/** The number of a call listed here; undefined on machines that do not have it. */
export function systemCallNumber(name: string, architecture: Architecture): number | undefined {
  return (systemCalls[name] ?? inspected[name])?.[architecture];
}
