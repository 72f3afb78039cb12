import type { BuiltinImageTable, HostPrograms, KernelTrial } from '#sandbox/launcher/index.js';

/** The images of the mesh, which no sandbox has to pull; by the last part of their upstream names. */
export const meshImages: BuiltinImageTable = {
  controller: { meshd: ['meshd.js'] },
  ztunnel: { ztunnel: ['ztunnel.js'] },
  cni: { 'mesh-cni': ['mesh-cni.js'] },
  waypoint: { waypoint: ['gateway.js'] },
};

/** What the redirection of captured pods needs of the kernel, tried before a sandbox starts. */
export const meshKernelTrials: readonly KernelTrial[] = [
  {
    piece: 'iptables REDIRECT',
    attempt: {
      table: 'nat',
      rule: 'OUTPUT -p tcp -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15001',
    },
    modules: 'nft_chain_nat xt_REDIRECT xt_mark nft_compat',
  },
  {
    piece: 'iptables connmark',
    attempt: { table: 'mangle', rule: 'OUTPUT -m connmark --mark 0x111/0xfff -j CONNMARK --restore-mark' },
    modules: 'xt_connmark nf_conntrack',
  },
];

/** What the images take from the machine, besides what every sandbox needs. */
export const meshPrograms: HostPrograms = {
  busybox: {
    use: 'runs the CNI plugin of the mesh on the nodes',
    packages: {
      apt: 'busybox-static',
      dnf: 'busybox',
      zypper: 'busybox-static',
      pacman: 'busybox',
      apk: 'busybox-static',
    },
  },
};
