import { meshImages } from '../../src/cli/mesh-in-sandbox.js';

/** A Debian package of an image, and what of it is taken besides its shared libraries and its license. */
export interface PackageUse {
  readonly name: string;
  /** Paths as in the merged /usr; a folder is taken with all that is in it. */
  readonly files?: readonly string[];
}

/** One image: everything in it is named here. */
export interface ImageDefinition {
  /** Below the hub. */
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** File in the package's `bin`, with its first arguments. */
  readonly program: readonly string[];
  /** Name of the program in /usr/local/bin, in images with a shell. */
  readonly command?: string;
  /** Besides {@link basePackages}. */
  readonly packages: readonly PackageUse[];
  /** Links that maintainer scripts would have made. */
  readonly links?: Readonly<Record<string, string>>;
  /** uid and gid. */
  readonly user: string;
}

/** What Node.js is linked with. */
export const basePackages: readonly PackageUse[] = [
  // The loader's path is the one that programs name.
  { name: 'libc6', files: ['usr/lib64'] },
  { name: 'libgcc-s1' },
  { name: 'libstdc++6' },
  // The licenses of the two above.
  { name: 'gcc-12-base' },
];

const meshUser = '1337:1337';
const root = '0:0';
const anybody = '65534:65534';

/** What the CNI agent calls, and nothing else of the packages. */
const redirectionTools: readonly PackageUse[] = [
  // sh; busybox's own would run its applets in the place of the programs below.
  { name: 'dash', files: ['usr/bin/dash', 'usr/bin/sh'] },
  {
    name: 'iptables',
    files: [
      'usr/sbin/xtables-nft-multi',
      'usr/sbin/xtables-legacy-multi',
      ...['iptables', 'ip6tables'].flatMap((name) =>
        ['nft', 'legacy'].flatMap((backend) =>
          ['', '-save', '-restore'].map((job) => `usr/sbin/${name}-${backend}${job}`),
        ),
      ),
    ],
  },
  { name: 'libxtables12' },
  { name: 'libip4tc2' },
  { name: 'libip6tc2' },
  { name: 'libnftnl11' },
  { name: 'libnetfilter-conntrack3' },
  { name: 'libnfnetlink0' },
  { name: 'libmnl0' },
  { name: 'ipset', files: ['usr/sbin/ipset'] },
  { name: 'libipset13' },
  { name: 'iproute2', files: ['usr/bin/ip', 'usr/sbin/ip', 'etc/iproute2'] },
  { name: 'libbpf1' },
  { name: 'libelf1' },
  { name: 'zlib1g' },
  { name: 'libbsd0' },
  { name: 'libmd0' },
  { name: 'libcap2' },
  { name: 'util-linux', files: ['usr/bin/unshare', 'usr/bin/nsenter'] },
  { name: 'mount', files: ['usr/bin/mount'] },
  { name: 'libmount1' },
  { name: 'libblkid1' },
  { name: 'libselinux1' },
  { name: 'libpcre2-8-0' },
  { name: 'coreutils', files: ['usr/sbin/chroot'] },
  // Runs the plugin on the node, so it must not need a library.
  { name: 'busybox-static', files: ['usr/bin/busybox'] },
];

const tables = ['iptables', 'ip6tables'];
const redirectionLinks = Object.fromEntries(
  tables.flatMap((name) =>
    ['', '-save', '-restore'].map((job) => [`usr/sbin/${name}${job}`, `${name}-nft${job}`] as const),
  ),
);

/** The busybox programs of an image that people look around in. */
export const busyboxPrograms: readonly string[] = (
  'cat chmod cp cut date df dirname du echo env false find free grep head hostname id ifconfig kill ln ls mkdir mv nc ' +
  'netstat nslookup od ping ping6 printf ps pwd readlink rm rmdir sed seq sh sleep sort stat tail tar tee test timeout ' +
  'top touch tr traceroute true uname uniq vi wc wget which whoami xargs yes'
).split(' ');

/** Every image, by the program the sandbox runs under the same name. */
export const imageDefinitions: readonly ImageDefinition[] = [
  {
    name: 'controller',
    title: 'meshctl controller',
    description: 'Control plane of the mesh: configuration and certificates for its proxies',
    program: programOf('controller'),
    packages: [],
    user: meshUser,
  },
  {
    name: 'ztunnel',
    title: 'meshctl ztunnel',
    description: 'Node proxy of the mesh: mTLS and L4 policy for the pods of a node',
    program: programOf('ztunnel'),
    packages: [],
    user: root, // enters network namespaces of pods
  },
  {
    name: 'cni',
    title: 'meshctl CNI agent',
    description: 'Brings the traffic of pods into the mesh',
    program: programOf('cni'),
    command: 'mesh-cni',
    packages: redirectionTools,
    links: redirectionLinks,
    user: root, // enters network namespaces of pods and writes their rules
  },
  {
    name: 'waypoint',
    title: 'meshctl waypoint',
    description: 'L7 proxy of namespaces and services',
    program: programOf('waypoint'),
    packages: [],
    user: meshUser,
  },
  {
    name: 'tool',
    title: 'meshctl tool',
    description: 'Clients and an echo server to try a mesh with',
    program: ['tool.js'],
    command: 'tool-entrypoint',
    packages: [{ name: 'busybox-static', files: ['usr/bin/busybox'] }],
    links: Object.fromEntries(busyboxPrograms.map((name) => [`usr/bin/${name}`, 'busybox'] as const)),
    user: anybody,
  },
];

function programOf(image: string): readonly string[] {
  const [program] = Object.values(meshImages[image] ?? {});
  if (program === undefined) throw new Error(`the sandbox has no image ${image}`);
  return program;
}
