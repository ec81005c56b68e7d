/** The labs in their order: name in the address, tab, title, what it is about, and what makes it. */

import { makeAnomalies } from './lab_anomalies.js';
import { makeBasic } from './lab_basic.js';
import { makeDenoise } from './lab_denoise.js';
import { makeHashing } from './lab_hashing.js';
import { makeProjections } from './lab_projections.js';

export const labs = [
  {
    name: 'basic', tab: 'Basic', title: 'Copy clothes through 64 numbers', make: makeBasic,
    words: ['The smallest autoencoder that works: 784 pixels, 64 numbers, 784 pixels, trained to copy. Above each copy stands its original, below it the error.'],
  },
  {
    name: 'denoise', tab: 'Denoise', title: 'Take the noise away', make: makeDenoise,
    words: ['A small convolutional network saw noisy clothes and had to draw the clean ones. It removes what is not clothes-like, and it knows only the noise that it was trained with.'],
  },
  {
    name: 'anomalies', tab: 'Anomalies', title: 'Find what does not belong', make: makeAnomalies,
    words: ['An autoencoder that has only seen normal things copies others badly. The error is the score; where it becomes an alarm is for you to say: drag the threshold.'],
  },
  {
    name: 'hashing', tab: 'Hashing', title: 'Find things by their address', make: makeHashing,
    words: ['A code of a few bits is an address. An autoencoder with noise on its code learns addresses at which alike images are neighbours: change a few bits, and you have found them, without looking at all the others.'],
  },
  {
    name: 'projections', tab: 'Projections', title: 'Two dimensions out of many', make: makeProjections,
    words: ['The same held-out images as pixels, as AE codes and as VAE codes, pressed flat by PCA or UMAP, beside a control in which there is nothing to find. What may be read off such a picture is measured below.'],
  },
];
