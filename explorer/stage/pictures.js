/** The small pictures of Learn by name. Each takes the material and gives {element}, perhaps opened, repaint and destroy. */

import { makeCloud } from './cloud.js';
import { makeFeatures } from './features.js';
import { makeLine } from './line.js';
import { makeNetwork } from './network.js';
import { makePlanes } from './planes.js';
import { makeTrade } from './trade.js';

export const pictures = {
  network: makeNetwork,
  features: makeFeatures,
  linear: makePlanes,
  line: makeLine,
  cloud: (material) => makeCloud(material, { shows: 'draws' }),
  trade: makeTrade,
  pulls: (material) => makeCloud(material, { shows: 'loss' }),
};
