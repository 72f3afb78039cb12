import { expect, it } from 'vitest';
import { Refusals } from '#base/kube/refusals.js';

const refused = (verb: string, resource: string, place: string, group = '') =>
  `${resource} is forbidden: User "jane" cannot ${verb} resource "${resource}" in API group "${group}" ${place}`;
const inShop = 'in the namespace "shop"';
const everywhere = 'at the cluster scope';

it('tells each refusal once, those of a verb and place together', () => {
  const refusals = new Refusals();
  for (const message of [
    refused('list', 'services', inShop),
    refused('list', 'pods', inShop),
    refused('list', 'pods', inShop),
    refused('get', 'deployments', inShop, 'apps'),
    refused('list', 'nodes', everywhere),
    'something else',
  ]) {
    refusals.note(message);
  }
  expect(refusals.unsaidIn('')).toEqual([
    'get deployments.apps in the namespace "shop"',
    'list nodes at the cluster scope',
    'list pods, services in the namespace "shop"',
  ]);
});

it('leaves out what is said already, in a document too', () => {
  const refusals = new Refusals();
  const messages = [refused('list', 'pods', inShop), refused('list', 'nodes', everywhere)];
  for (const message of messages) refusals.note(message);
  expect(refusals.unsaidIn(JSON.stringify({ evidence: [messages[0]] }))).toEqual([
    'list nodes at the cluster scope',
  ]);
  refusals.drop(messages[1] ?? '');
  expect(refusals.unsaidIn('')).toEqual(['list pods in the namespace "shop"']);
});
