// The HTTP server that Node has, with nothing around it: `node bare.js SOCKET`.
'use strict'
const http = require('node:http')

const body = Buffer.from('{"greeting":"Hello from a function","count":12345,"tags":["alpha","beta","gamma"],"nested":{"ok":true,"ratio":0.75}}')
const headers = { 'Content-Type': 'application/json', 'Content-Length': body.length }

http.createServer((_, res) => {
  res.writeHead(200, headers)
  res.end(body)
}).listen(process.argv[2], () => console.log(`listening on ${process.argv[2]}`))
