import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A collector in a process of its own that reads and forgets. */
const server = createServer((request, response) => {
  request
    .resume()
    .once('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'));
});
server.listen(0, '127.0.0.1', () => {
  process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`);
});
