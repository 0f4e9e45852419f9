'use strict';

// Requests per second of a function, beside a bare node:http server that answers the
// same bytes, over a Unix socket at 16 and 64 connections:
//
//   node bench.js [SECONDS]
//
// The two take turns, and the best of each counts: what else the machine does only ever
// makes them slower.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

const rounds = 7;
const seconds = Number(process.argv[2] ?? 1);

const answer = { 'num-param': 42, bools: true, numero: 0.12242178102028745, 'query-params': { cool: 'yes' }, time: 'Thu Nov 26 12:19:58 UTC 2026' };

const bundle = `
const answer = ${JSON.stringify(answer)};
export function sync(ctx) { return { ...answer, 'num-param': ctx.pathParams.num, 'query-params': ctx.queryParams }; }
export async function async(ctx) { return { ...answer, 'num-param': ctx.pathParams.num, 'query-params': ctx.queryParams }; }
export async function body(ctx, data) { return data; }
`;

const bare = `
const http = require('node:http');
const answer = ${JSON.stringify(answer)};
http.createServer((req, res) => {
  const send = (value) => {
    const body = JSON.stringify(value);
    res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
    res.end(body);
  };
  if (req.method !== 'POST') return send(answer);
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => send(JSON.parse(Buffer.concat(chunks))));
}).listen(process.env.FUNCATRON_SOCKET);
`;

function request(operation, body = '') {
  return Buffer.from([
    `${body ? 'POST' : 'GET'} /sample/node/simple/42?cool=yes HTTP/1.1`, 'Host: localhost:8080', 'User-Agent: bench', 'Accept: */*',
    'X-Request-Id: db9d00abf61d9c67f4f0e755e96b8d0e', 'traceparent: 00-db9d00abf61d9c67f4f0e755e96b8d0e-b7ad6b7169203331-01',
    `X-Funcatron-Operation: ${operation}`, 'X-Funcatron-Params: {"path":{"num":42},"query":{},"header":{},"form":{}}', 'X-Funcatron-Timeout-Ms: 29998',
    ...(body ? ['Content-Type: application/json', `Content-Length: ${body.length}`] : []),
  ].join('\r\n') + '\r\n\r\n' + body);
}

/** server starts a process that listens on a socket of its own. */
async function server(dir, name, args) {
  const socket = path.join(dir, name);
  const child = spawn(process.execPath, args, { cwd: dir, env: { PATH: process.env.PATH, FUNCATRON_SOCKET: socket, FUNCATRON_SWAGGER_FILE: 'swagger.json' }, stdio: 'inherit' });
  while (!fs.existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 10));
  return { socket, child };
}

/** load sends requests on connections for a time, one after the other on each, and gives how many were answered a second. */
async function load(socket, bytes, connections) {
  let answered = 0;
  const end = performance.now() + seconds * 1000;
  const began = performance.now();
  await Promise.all(Array.from({ length: connections }, () => new Promise((resolve, reject) => {
    const connection = net.connect(socket, () => connection.write(bytes));
    connection.on('error', reject);
    connection.on('close', resolve);
    connection.on('data', (data) => {
      if (data.latin1Slice(9, 12) !== '200') reject(new Error(data.toString()));
      answered++; // head and body come in one piece
      if (performance.now() < end) connection.write(bytes);
      else connection.destroy();
    });
  })));
  return answered / ((performance.now() - began) / 1000);
}

async function main() {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fn'));
  fs.writeFileSync(path.join(dir, 'index.mjs'), bundle);
  fs.writeFileSync(path.join(dir, 'bare.cjs'), bare);
  const paths = Object.fromEntries(['sync', 'async', 'body'].map((operationId) => [`/${operationId}`, { get: { operationId } }]));
  fs.writeFileSync(path.join(dir, 'swagger.json'), JSON.stringify({ swagger: '2.0', paths }));
  const ours = await server(dir, 'ours', [path.join(__dirname, '..', 'serve.js')]);
  const other = await server(dir, 'bare', ['bare.cjs']);
  try {
    for (const [operation, body] of [['sync'], ['async'], ['body', JSON.stringify(answer)]]) {
      const bytes = request(operation, body);
      for (const connections of [16, 64]) {
        const rates = { ours: [], bare: [] };
        for (let i = 0; i < rounds; i++) {
          rates.bare.push(await load(other.socket, bytes, connections));
          rates.ours.push(await load(ours.socket, bytes, connections));
        }
        const [a, b] = [Math.max(...rates.ours), Math.max(...rates.bare)];
        console.log(`${operation.padEnd(6)} ${String(connections).padStart(3)} connections: ${a.toFixed(0)} requests/s, bare ${b.toFixed(0)}, ratio ${(a / b).toFixed(2)}`);
      }
    }
  } finally {
    ours.child.kill('SIGKILL');
    other.child.kill('SIGKILL');
    fs.rmSync(dir, { recursive: true });
  }
}

main();
