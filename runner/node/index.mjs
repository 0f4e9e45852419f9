import funcatron from './index.js';

export const { Reply, HTTPError, log, registerVendor, registerDriver, parse, stringify } = funcatron;
