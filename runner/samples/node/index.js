// The Node sample of Funcatron: what the announcement's Java and Scala samples do, a
// guest book in a database, and one function for each thing that functions in every
// language can do. The samples in other languages have the same API.
//
// `npm ci` and then `funcatron pack` make a Func Bundle of this folder. Each
// operationId of funcatron.yaml is the name of an export here.

export { simpleGet } from './simple.js';
export { postOrDelete } from './change.js';
export { addVisit, listVisits } from './visits.js';
export { echo, record } from './bodies.js';
export { params } from './params.js';
export { status, fail } from './answers.js';
export { log } from './log.js';
export { sleep } from './sleep.js';
