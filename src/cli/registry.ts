import type { CommandEntry } from './command.js';

/** Words that mean "the same command without me": istioctl's experimental group. */
export const transparentWords: readonly string[] = ['experimental', 'x'];

/** Summaries of words that only group commands. */
export const groups: Readonly<Record<string, string>> = {
  manifest: 'the objects of an installation',
  profile: 'named sets of values',
  images: 'the images of an installation: into archives, nodes and registries',
  describe: 'how a pod, service, namespace, node, waypoint or gateway stands to the mesh',
  waypoint: 'L7 proxies of namespaces and services',
  'ztunnel-config': 'what a node proxy is configured with',
  completion: 'scripts that let a shell complete words',
  sandbox: 'a Kubernetes cluster on this machine',
  'sandbox node': 'nodes of a running sandbox',
};

/** The first words of commands, as the list of commands has them; what is in no section comes last. */
export const sections: readonly { readonly title: string; readonly words: readonly string[] }[] = [
  {
    title: 'Install',
    words: [
      'precheck',
      'install',
      'verify-install',
      'upgrade',
      'uninstall',
      'profile',
      'manifest',
      'images',
      'migrate',
    ],
  },
  {
    title: 'Enroll',
    words: ['enroll', 'unenroll', 'enrollment', 'waypoint', 'gateway', 'wait'],
  },
  {
    title: 'Observe',
    words: ['status', 'describe', 'analyze', 'authz', 'top', 'tap', 'graph', 'dashboard', 'version'],
  },
  {
    title: 'Debug',
    words: ['probe', 'logs', 'proxy-status', 'proxy-config', 'ztunnel-config', 'bug-report', 'explain'],
  },
  { title: 'Sandbox', words: ['sandbox'] },
  { title: 'Command line', words: ['completion', 'options'] },
];

/** Every command, in the order help shows them. */
export const commandEntries: readonly CommandEntry[] = [
  {
    path: 'install',
    summary: 'install the mesh, or change an installation',
    aliases: ['apply', 'manifest install'],
    load: () => import('./commands/install.js'),
  },
  {
    path: 'uninstall',
    summary: 'remove the mesh; pods keep running and talking',
    load: () => import('./commands/uninstall.js'),
  },
  {
    path: 'verify-install',
    summary: 'compare the cluster with what was installed',
    aliases: ['verify'],
    load: () => import('./commands/verify-install.js'),
  },
  {
    path: 'manifest generate',
    summary: 'what install would apply',
    load: async () => ({ command: (await import('./commands/manifest.js')).manifestGenerateCommand }),
  },
  {
    path: 'manifest diff',
    summary: 'how the cluster differs from what install would apply',
    load: async () => ({ command: (await import('./commands/manifest.js')).manifestDiffCommand }),
  },
  {
    path: 'profile list',
    summary: 'profiles and their components',
    load: async () => ({ command: (await import('./commands/profile.js')).profileListCommand }),
  },
  {
    path: 'profile dump',
    summary: 'every value of a profile',
    load: async () => ({ command: (await import('./commands/profile.js')).dumpCommand }),
  },
  {
    path: 'profile diff',
    summary: 'values in which two profiles differ',
    load: async () => ({ command: (await import('./commands/profile.js')).profileDiffCommand }),
  },
  {
    path: 'images list',
    summary: 'the images an installation needs, with their digests',
    load: async () => ({ command: (await import('./commands/images.js')).imagesListCommand }),
  },
  {
    path: 'images save',
    summary: 'save them into an archive',
    load: async () => ({ command: (await import('./commands/images.js')).imagesSaveCommand }),
  },
  {
    path: 'images load',
    summary: 'bring them into the nodes of a local cluster',
    load: () => import('./commands/images-load.js'),
  },
  {
    path: 'images push',
    summary: 'push them to a registry',
    load: async () => ({ command: (await import('./commands/images.js')).imagesPushCommand }),
  },
  {
    path: 'precheck',
    summary: 'can this cluster run the mesh',
    load: () => import('./commands/precheck.js'),
  },
  {
    path: 'version',
    summary: 'client, controller and data plane versions',
    load: () => import('./commands/version.js'),
  },
  {
    path: 'analyze',
    summary: 'mistakes in the configuration of the mesh, live or in files',
    load: () => import('./commands/analyze.js'),
  },
  {
    path: 'status',
    summary: 'the whole mesh on one screen',
    load: () => import('./commands/status.js'),
  },
  {
    path: 'proxy-status',
    summary: 'which controller each proxy is connected to, and what it has acknowledged',
    aliases: ['ps'],
    load: () => import('./commands/proxy-status.js'),
  },
  {
    path: 'describe pod',
    summary: 'how a pod stands to the mesh, with evidence',
    aliases: ['describe pods', 'describe po'],
    load: () => import('./commands/describe-pod.js'),
  },
  {
    path: 'describe service',
    summary: 'how a Service is called, by whom and through what',
    aliases: ['describe services', 'describe svc'],
    load: () => import('./commands/describe-service.js'),
  },
  {
    path: 'describe namespace',
    summary: 'how a namespace and its pods stand to the mesh',
    aliases: ['describe namespaces', 'describe ns'],
    load: () => import('./commands/describe-namespace.js'),
  },
  {
    path: 'describe node',
    summary: 'what of the mesh runs on a node, and whether it works',
    aliases: ['describe nodes', 'describe no'],
    load: () => import('./commands/describe-node.js'),
  },
  ...(['waypoint', 'gateway'] as const).map((word) => ({
    path: `describe ${word}`,
    summary: word === 'waypoint' ? 'whether a waypoint works, and for whom' : 'whether a Gateway works',
    aliases:
      word === 'waypoint' ? ['describe waypoints'] : ['describe gateways', 'describe gtw', 'describe gw'],
    load: async () => ({ command: (await import('./commands/describe-gateway.js')).gatewayCommand(word) }),
  })),
  {
    path: 'enroll',
    summary: 'take the pods of namespaces into the mesh',
    load: async () => ({ command: (await import('./commands/enroll.js')).enrollCommand }),
  },
  {
    path: 'unenroll',
    summary: 'take them out again',
    aliases: ['un-enroll'],
    load: async () => ({ command: (await import('./commands/enroll.js')).unenrollCommand }),
  },
  {
    path: 'enrollment',
    summary: 'which pods are in the mesh, and which should be',
    load: () => import('./commands/enrollment.js'),
  },
  {
    path: 'waypoint apply',
    summary: 'create or change a waypoint',
    load: async () => ({ command: (await import('./commands/waypoint-apply.js')).applyCommand }),
  },
  {
    path: 'waypoint generate',
    summary: 'print the Gateway that makes a waypoint',
    load: async () => ({ command: (await import('./commands/waypoint-apply.js')).waypointGenerateCommand }),
  },
  {
    path: 'waypoint delete',
    summary: 'delete waypoints that nobody uses',
    load: () => import('./commands/waypoint-delete.js'),
  },
  {
    path: 'waypoint list',
    summary: 'waypoints, their state and who uses them',
    load: () => import('./commands/waypoint-list.js'),
  },
  {
    path: 'waypoint status',
    summary: 'whether waypoints are ready, and what is missing',
    load: () => import('./commands/waypoint-status.js'),
  },
  {
    path: 'probe',
    summary: 'a real connection between two workloads, stop by stop',
    load: () => import('./commands/probe.js'),
  },
  {
    path: 'ztunnel-config all',
    summary: "a node proxy's whole configuration",
    aliases: ['zc all'],
    load: async () => ({ command: (await import('./commands/ztunnel-config.js')).allCommand }),
  },
  ...(
    [
      ['workload', ['workloads', 'w'], 'workloads a node proxy knows'],
      ['service', ['services', 'svc', 's'], 'services a node proxy knows'],
      ['policy', ['policies', 'pol', 'p'], 'authorization policies a node proxy enforces'],
      ['certificate', ['certificates', 'certs', 'cert'], 'certificates a node proxy holds'],
      [
        'connections',
        ['connection', 'cons'],
        'live connections of a node proxy and whether they are encrypted',
      ],
    ] as const
  ).map(([section, others, summary]) => ({
    path: `ztunnel-config ${section}`,
    summary,
    aliases: [`zc ${section}`, ...others.flatMap((o) => [`ztunnel-config ${o}`, `zc ${o}`])],
    load: async () => ({ command: (await import('./commands/ztunnel-config.js')).sectionCommand(section) }),
  })),
  {
    path: 'ztunnel-config log',
    summary: 'log levels of node proxies',
    aliases: ['zc log'],
    load: () => import('./commands/ztunnel-config-log.js'),
  },
  {
    path: 'sandbox up',
    summary: 'start a cluster on this machine',
    load: async () => ({ command: (await import('./commands/sandbox.js')).upCommand }),
  },
  {
    path: 'sandbox down',
    summary: 'stop it and remove everything it made',
    load: async () => ({ command: (await import('./commands/sandbox.js')).downCommand }),
  },
  {
    path: 'sandbox list',
    summary: 'sandboxes of this user',
    load: async () => ({ command: (await import('./commands/sandbox.js')).sandboxListCommand }),
  },
  {
    path: 'sandbox status',
    summary: 'a sandbox and its nodes',
    load: async () => ({ command: (await import('./commands/sandbox-status.js')).statusCommand }),
  },
  {
    path: 'sandbox node add',
    summary: 'add nodes to a running sandbox',
    load: async () => ({ command: (await import('./commands/sandbox-node.js')).nodeAddCommand }),
  },
  {
    path: 'sandbox node remove',
    summary: 'remove nodes for good',
    load: async () => ({ command: (await import('./commands/sandbox-node.js')).nodeRemoveCommand }),
  },
  {
    path: 'sandbox node stop',
    summary: 'cut the power of nodes',
    load: async () => ({ command: (await import('./commands/sandbox-node.js')).nodeStopCommand }),
  },
  {
    path: 'sandbox node start',
    summary: 'switch nodes on again',
    load: async () => ({ command: (await import('./commands/sandbox-node.js')).nodeStartCommand }),
  },
  {
    path: 'sandbox node disconnect',
    summary: 'pull the network cable of nodes',
    load: async () => ({ command: (await import('./commands/sandbox-node.js')).nodeDisconnectCommand }),
  },
  {
    path: 'sandbox node connect',
    summary: 'plug the network cable of nodes in again',
    load: async () => ({ command: (await import('./commands/sandbox-node.js')).nodeConnectCommand }),
  },
  {
    path: 'sandbox node list',
    summary: 'nodes and their states',
    load: async () => ({ command: (await import('./commands/sandbox-node.js')).nodeListCommand }),
  },
  {
    path: 'sandbox load',
    summary: 'load images from archives',
    load: async () => ({ command: (await import('./commands/sandbox-images.js')).loadCommand }),
  },
  {
    path: 'sandbox images',
    summary: 'images that pods of a sandbox can use',
    load: async () => ({ command: (await import('./commands/sandbox-images.js')).imagesCommand }),
  },
  {
    path: 'sandbox kubeconfig',
    summary: 'print a kubeconfig for it',
    load: async () => ({ command: (await import('./commands/sandbox.js')).kubeconfigCommand }),
  },
  {
    path: 'sandbox exec',
    summary: 'run a command on a node',
    load: async () => ({ command: (await import('./commands/sandbox.js')).execCommand }),
  },
  {
    path: 'sandbox capture',
    summary: "capture a node's traffic",
    load: async () => ({ command: (await import('./commands/sandbox.js')).captureCommand }),
  },
  {
    path: 'explain',
    summary: 'what an error code means and what to do',
    load: () => import('./commands/explain.js'),
  },
  ...(['bash', 'zsh', 'fish'] as const).map((shell) => ({
    path: `completion ${shell}`,
    summary: `completion of words and live names in ${shell}`,
    load: async () => ({ command: (await import('./commands/completion.js')).completionCommand(shell) }),
  })),
  {
    path: 'options',
    summary: 'the options that every command takes',
    load: () => import('./commands/options.js'),
  },
];
