import { expect, it } from 'vitest';
import { supportDocument } from '../../../../../scripts/support-document.js';

it('is what docs/support.md says', async () => {
  await expect(supportDocument()).toMatchFileSnapshot('../../../../../docs/support.md');
});
