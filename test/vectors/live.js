'use strict';
// Reads questions, one JSON object a line, and writes the SDK's answers in the same way.
const { answer } = require('./sdk.js');
require('readline').createInterface({ input: process.stdin, crlfDelay: Infinity }).on('line', (line) => {
  let a;
  try {
    a = answer(JSON.parse(line));
  } catch (e) {
    a = { error: String(e) };
  }
  process.stdout.write(JSON.stringify(a) + '\n');
});
