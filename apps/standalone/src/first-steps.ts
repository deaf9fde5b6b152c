/** What embedded mode is for, said at every start. */
export function embeddedNotice(dataDirectory: string): string {
  return (
    `sparkle: embedded mode, data in ${dataDirectory}: for trying out, one process only. ` +
    'Set DATABASE_URL and REDIS_URL for production.\n'
  );
}

/** A token and three things to try, printed once the server answers. */
export function firstSteps(address: string, token: string): string {
  return `
export TOKEN=${token}

  curl -s ${address}/v1/answers -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' \\
    -d '{"question":"How does supervised learning relate to deep learning?"}'

  curl -s ${address}/v1/learning-paths -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' \\
    -d '{"target":"Backpropagation"}'

  curl -s ${address}/v1/documents?title=Notes -H "authorization: Bearer $TOKEN" -H 'content-type: text/markdown' \\
    --data-binary @README.md

Try everything at ${address}/docs
`;
}
