import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    reporters: ['default'],
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 5_000 } },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          pool: 'forks',
          // One file at a time: several bind the mesh's own ports on fixed addresses.
          maxWorkers: 1,
          fileParallelism: false,
        },
      },
      {
        test: {
          // The same suites against our API server and, with KUBEBUILDER_ASSETS, against kube-apiserver.
          name: 'conformance',
          include: ['test/conformance/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 90_000,
          pool: 'forks',
          maxWorkers: 1,
          fileParallelism: false,
        },
      },
      {
        test: {
          // Real clients on a sandbox each; see test/interop/README.md for what they need.
          name: 'interop',
          include: ['test/interop/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 600_000,
          pool: 'forks',
          maxWorkers: 1,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          globalSetup: 'test/harness/test-user.ts',
          testTimeout: 120_000,
          hookTimeout: 180_000,
          pool: 'forks',
          // One sandbox at a time: the files share the machine's two cores.
          maxWorkers: 1,
          fileParallelism: false,
        },
      },
    ],
  },
});
